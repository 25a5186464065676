// Package webapp runs the example web application as a process, with its factors
// on every kind of server that the stores know. It holds tests alone.
package webapp
