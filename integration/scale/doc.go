// Package scale computes what docs/scale.md says of a hundred million users. A
// day of sign-ins is drawn and counted, by partition and by minute:
//
//	go test -count=1 -v -run TestDay ./scale
//	MFA_LONG=1 go test -count=1 -v -timeout 60m -run TestDay ./scale
//
// The first takes a million users and seconds, the second all of them and a minute
// or two of two cores, in 200 MB.
//
// What each step costs is no constant of the model: it is counted before the
// day, over a store in memory. TestModelIsTheLibrary lets the library itself live
// through the day of some hundred people, and demands the same counts for each
// partition. TestLayouts compares the bytes that are computed with those of servers.
package scale
