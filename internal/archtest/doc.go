// Package archtest holds the house together: its tests read the source of every
// package and compare it with the table in table_test.go (who may import whom),
// with the rules of docs/design.md (no goroutines, globals, logs, clocks or
// randomness of one's own) and with docs/security.md (every test named there
// exists).
//
// The package has no code of its own. A new package needs a row in the table;
// an exception needs a reason beside it.
package archtest
