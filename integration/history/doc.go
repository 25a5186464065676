// Package history checks that what users were told could have happened one
// thing after the other. Three processes with 32 workers enrol, remove, sign in,
// regenerate and reset the same few users, and write down when each call began,
// when it returned and what it said. A checker of linearisability (porcupine)
// then looks for an order that explains it all: one that keeps to the times, and
// in which each answer is the one that a small model of a user gives.
//
// MFA_LONG=1 lets the load run for longer. What needs a program that is missing
// skips, and fails if MFA_CI is set.
//
// The checker is shown to see what it looks for by histories that are written by
// hand, and by stores that are wrong on purpose.
package history
