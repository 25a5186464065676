// Package outage lets the library lose its store, and sees what it told meanwhile:
// database servers that are killed, stopped, frozen, full or read-only, and
// connections that a proxy cuts in the middle of a save.
//
// Whoever was told something is asked afterwards by an auditor, who has a vault of
// its own straight on the server. Nothing may be accepted twice, nothing that was
// acknowledged may be lost, and who was told that nothing happened must find
// nothing. Each auditor is shown to see what it looks for by a store that is wrong
// on purpose.
//
// The numbers are small by default; MFA_LONG=1 takes the large ones. What needs a
// server that is missing skips, and fails if MFA_CI is set.
package outage
