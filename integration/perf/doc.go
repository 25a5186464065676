// Package perf measures what docs/performance.md says. The figures are medians
// of interleaved rounds of one run, and what counts are their ratios:
//
//	MFA_PERF=1 go test -count=1 -v -run TestPerformance ./perf
//
// The parts of an accepted sign-in, by its profile:
//
//	go test -run '^$' -bench AcceptedVerify -cpuprofile cpu.out -o perf.test ./perf
//	go tool pprof -top -cum -focus 'Pending..Verify' perf.test cpu.out
//
// What each call costs the store is counted by TestStoreCalls of package
// campaign, and in round trips by TestRoundTrips. What stores take, on servers
// that are started for it and removed, each in one command that ends with the
// tables of the document:
//
//	MFA_PERF=1 go test -count=1 -v -run TestNetwork ./perf
//	MFA_PERF=1 go test -count=1 -v -timeout 30m -run TestThroughput ./perf
//	MFA_PERF=1 go test -count=1 -v -timeout 90m -run TestMillion ./perf
//
// MFA_PERF_SECONDS (10) is how long a window of the second lasts, MFA_PERF_USERS
// (1000000) how many users the third takes for a million. Without MFA_PERF they do
// a little of everything, to see that it works, and judge no time.
package perf
