// Package browser drives the example web application in a real browser, with a
// real QR reader (zbarimg) and a real authenticator's arithmetic (oathtool). It
// holds tests alone.
package browser
