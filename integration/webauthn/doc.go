// Package webauthn lets an authenticator that somebody else wrote
// (github.com/descope/virtualwebauthn) register and sign in through a Guard. It
// reads the options that browsers get, and answers as they do.
package webauthn
