// Package mail sends mail to servers that are not of this project: one in the
// test's own process (go-smtp), and Exim, started by the test on loopback with
// a configuration, a certificate and an inbox of its own. What arrives is read
// with the standard library and compared.
//
// No mail leaves the machine: Exim's only route ends in a folder. Exim has to be
// started by root. Without it the test skips, and fails if MFA_CI is set.
package mail
