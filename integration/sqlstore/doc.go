// Package sqlstore tests the SQL store on SQLite, PostgreSQL and MariaDB: what it
// promises, its schema, its round trips, and what it says when something fails. It
// holds tests alone.
//
// MFA_LONG=1 takes the large numbers. What needs a program that is missing skips,
// and fails if MFA_CI is set.
package sqlstore
