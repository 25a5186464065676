// Package servers gives tests real database servers: one that the tests of a
// process share, or one that a test may kill, stop, freeze, fill and forbid to
// write. It opens stores on them by URL, also in a child process that has nothing
// but the URL, and puts a proxy before them that counts, delays and cuts.
//
//	func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
//
//	func TestIt(t *testing.T) {
//		s, err := servers.Open(t.Context(), servers.Shared(t, servers.PostgreSQL).URL(t))
//
// The programs are those that are installed. What needs one that is missing skips,
// and fails if MFA_CI is set. Servers listen on loopback, keep their durability
// settings at what the documentation of the stores demands, and end with the
// process that started them, however it ends (on Linux).
package servers
