// Package redisstore tests the Redis store on a server, on a cluster of three and
// on a Redis in this process: what it promises, and how its claims stand when
// commands are lost, repeated and late, processes are killed and slots move. It
// holds tests alone.
//
// MFA_LONG=1 takes the large numbers. What needs a program that is missing skips,
// and fails if MFA_CI is set.
package redisstore
