package archtest

// This file is what one edits: the table of packages and the exceptions to the
// rules, each with its reason. A package is named by its folder, the root by
// "mfa".

// A place says what one package may import besides the standard library, in
// files that are not tests.
type place struct {
	rooms   []string // packages of this project
	modules []string // modules of others, with all their packages
	kit     bool     // for tests of ours and of users: only tests and kits import it
	factor  bool     // a factor: imported by the application, and by no other room
}

// table has a row for every package that exists. The imports go one way:
// store <- vault <- mfa <- factors, and mfahttp on top of mfa.
var table = map[string]place{
	"store":          {},
	"store/memstore": {rooms: []string{"store"}},
	"store/sqlstore": {rooms: []string{"store"}},
	"store/redisstore": { // a module of its own
		rooms:   []string{"store"},
		modules: []string{"github.com/redis/go-redis/v9"},
	},
	"store/storetest": {
		rooms: []string{"store"},
		kit:   true,
	},

	"vault": {
		rooms:   []string{"store"},
		modules: []string{"github.com/fxamacker/cbor/v2", "golang.org/x/crypto"},
	},

	"mfa": {
		rooms:   []string{"store", "vault"},
		modules: []string{"github.com/fxamacker/cbor/v2", "golang.org/x/crypto"},
	},

	"totp": {
		rooms:   []string{"mfa", "vault"},
		modules: []string{"github.com/pquerna/otp", "github.com/boombuler/barcode"},
		factor:  true,
	},
	"backupcodes": {
		rooms:   []string{"mfa", "vault"},
		modules: []string{"golang.org/x/crypto"},
		factor:  true,
	},

	"sentcode": {rooms: []string{"mfa", "vault"}},
	"emailotp": {rooms: []string{"mfa", "vault", "sentcode", "mail"}, factor: true},

	"mail":      {},
	"mail/smtp": {rooms: []string{"mail"}, modules: []string{"github.com/wneessen/go-mail"}},

	"webauthn": {
		rooms:   []string{"mfa", "vault"},
		modules: []string{"github.com/go-webauthn/webauthn", "github.com/fxamacker/cbor/v2"},
		factor:  true,
	},

	"mfahttp": {rooms: []string{"mfa"}},
	"notify":  {rooms: []string{"mail", "mfa"}},

	"mfatest": {
		rooms: []string{"store", "store/memstore", "vault", "mfa", "totp", "emailotp", "webauthn", "backupcodes", "mail"},
		kit:   true,
	},

	"internal/archtest": {},
}

// rootModules are the modules that the code of the root module may need: what
// everybody who imports it gets. Those that are used, and no others, stand in
// its go.mod as direct requirements.
var rootModules = []string{
	"github.com/boombuler/barcode",
	"github.com/fxamacker/cbor/v2",
	"github.com/go-webauthn/webauthn",
	"github.com/pquerna/otp",
	"github.com/wneessen/go-mail",
	"golang.org/x/crypto",
}

// drivers are modules (and what starts with their path) that no user of the
// root may get, not even through somebody else.
var drivers = []string{
	"github.com/denisenkom/go-mssqldb",
	"github.com/glebarez/",
	"github.com/go-sql-driver/mysql",
	"github.com/gomodule/redigo",
	"github.com/jackc/pgx",
	"github.com/lib/pq",
	"github.com/mattn/go-sqlite3",
	"github.com/microsoft/go-mssqldb",
	"github.com/ncruces/go-sqlite3",
	"github.com/redis/",
	"go.mongodb.org/",
	"modernc.org/sqlite",
	"zombiezen.com/go/sqlite",
}

// fenced are packages of the standard library that only the named rooms may
// import. "kits" stands for every kit.
var fenced = map[string][]string{
	"database/sql":        {"store/sqlstore"},
	"database/sql/driver": {"store/sqlstore"},
	"expvar":              {},
	"log":                 {},
	"net/http":            {"mfahttp", "kits"},
	"net/smtp":            {}, // sends in plaintext to a server that offers nothing else
	"os/exec":             {},
	"plugin":              {},
	"testing":             {"kits"},
	"unsafe":              {},
}

// slims are promises about what a program compiles that imports one package.
var slims = []struct {
	room  string
	never []string // import paths, with everything below them
}{
	{"totp", slimNever},
	{"backupcodes", slimNever},
	{"emailotp", append([]string{"crypto/tls", "net/smtp", "github.com/wneessen"}, slimNever...)}, // with a Sender of one's own
}

var slimNever = append([]string{
	"database/sql",
	"net/http",
	"github.com/go-webauthn",
	modulePath + "/webauthn",
	modulePath + "/store/redisstore",
	modulePath + "/store/sqlstore",
}, drivers...)

// allowedVars are package-level variables that the rule would refuse:
// "room.name" and why it is no global state.
var allowedVars = map[string]string{}

// allowedClocks are rooms that may ask for the time of day besides kits: room
// and why.
var allowedClocks = map[string]string{
	"vault": "it is the one clock: its option Now is time.Now by default",
	"totp":  "a stand-alone Key has no vault and verifies by the server's clock",
}

// allowedReaders are struct fields of type io.Reader: "room.Struct.field" and
// why it is no source of randomness.
var allowedReaders = map[string]string{}
