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
// campaign.
package perf
