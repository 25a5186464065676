// Package campaign attacks the library the way the world does: requests that
// race, in one process and in several, processes that are killed, stores that
// lie, clocks that jump, people who have only the password. Everything goes
// through the public Guard, in memory and on each database.
//
// A house is a store, by its URL, with instances of the library over it in this
// process and in others. The databases are those of package servers.
//
// The numbers are small by default, and smaller on servers; MFA_LONG=1 takes the
// large ones. What needs a program that is missing skips, and fails if MFA_CI is
// set.
//
// Each campaign has a checker, and each checker is shown to see what it looks
// for by something that is wrong on purpose.
package campaign
