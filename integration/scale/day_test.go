// Who the users are, and what they do on one day. These are assumptions; all that
// is drawn depends on nothing but a user's number.
package scale

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"sort"
	"time"
)

const (
	perDay       = 0.5     // sign-ins of a user
	viral        = 5       // percent of all users sign in once more in one hour
	viralHour    = 20      // which is also where the curve is highest
	missOne      = 10      // percent of typed answers are wrong at first
	missTwo      = 1       // percent, twice
	backup       = 2       // percent of those with an app take a backup code
	adds         = 2       // in a thousand of them add a key, after they signed in
	attacked     = 1 << 16 // one account in so many is hammered all day
	hammerPeriod = 30 * time.Second
)

// A person is what a user has set up. All have ten backup codes besides.
type person int

const (
	app person = iota
	mail
	keys     // an app and two keys: the typical record
	passkeys // two of them, and nothing else
	sorts
)

var (
	sortNames  = [sorts]string{"app", "emailed codes", "app, two keys", "two passkeys"}
	sortShares = [sorts]int{55, 20, 20, 5} // percent
	keysOf     = [sorts]int{keys: 2, passkeys: 2}
)

// A way is how somebody signs in.
type way int

const (
	byApp way = iota
	byMail
	byKey
	alone // by a passkey
	byCode
	adding // a key, after the app
	ways
)

var wayNames = [ways]string{"app", "emailed code", "key", "passkey alone", "backup code", "app, then adds a key"}

// A signIn is one of a day.
type signIn struct {
	at    time.Duration // since midnight
	think time.Duration // until the answer
	way   way
	wrong int // answers before the right one
}

// dice are drawn: splitmix64.
type dice uint64

// draw returns the dice of user i, for one of several uses.
func draw(i int, use uint64) *dice {
	d := dice(uint64(i)*0x9e3779b97f4a7c15 ^ use<<56)
	d = dice(d.next())
	return &d
}

func (d *dice) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (d *dice) below(n int) int    { return int(d.next() >> 1 % uint64(n)) }
func (d *dice) fraction() float64  { return float64(d.next()>>11) / (1 << 53) }
func (d *dice) percent(p int) bool { return d.below(100) < p }

func (d *dice) bytes(n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.BigEndian.AppendUint64(b, d.next())
	}
	return b[:n]
}

// userID is a random UUID.
func userID(i int) string { return string(appendUserID(nil, i)) }

func appendUserID(to []byte, i int) []byte {
	d := draw(i, 1)
	var u [16]byte
	binary.BigEndian.PutUint64(u[:], d.next())
	binary.BigEndian.PutUint64(u[8:], d.next())
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	for i, b := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			to = append(to, '-')
		}
		to = hex.AppendEncode(to, []byte{b})
	}
	return to
}

func sortOf(i int) person {
	n := draw(i, 2).below(100)
	for s, share := range sortShares {
		if n -= share; n < 0 {
			return person(s)
		}
	}
	return app
}

// isAttacked: somebody has the password, and tries codes all day. The owner does
// not sign in.
func isAttacked(i, every int) bool { return i%every == every/2 }

// minutes is the share of sign-ins up to each minute of a day.
var minutes = func() (upTo [24 * 60]float64) {
	sum := 0.0
	for m := range upTo {
		sum += 1 + 0.8*math.Cos(2*math.Pi*(float64(m)/60-viralHour-0.5)/24)
		upTo[m] = sum
	}
	for m := range upTo {
		upTo[m] /= sum
	}
	return upTo
}()

// noSignIns is the share of those who do not sign in on an ordinary day.
var noSignIns = math.Exp(-perDay)

const apart = 3 * time.Minute // between two sign-ins of one user

// day appends the sign-ins of user i, earliest first.
func day(to []signIn, i int, s person) []signIn {
	d := draw(i, 3)
	n := 0
	for p := d.fraction(); p > noSignIns; p *= d.fraction() { // Poisson
		n++
	}
	first := len(to)
	for range n {
		m, _ := slices.BinarySearch(minutes[:], d.fraction())
		to = append(to, signIn{at: time.Duration(min(m, len(minutes)-1))*time.Minute + time.Duration(d.below(60_000))*time.Millisecond})
	}
	if d.percent(viral) {
		to = append(to, signIn{at: viralHour*time.Hour + time.Duration(d.below(3_600_000))*time.Millisecond})
	}
	own := to[first:]
	if len(own) > 1 {
		sort.Slice(own, func(a, b int) bool { return own[a].at < own[b].at })
	}
	for k := range own {
		e := &own[k]
		if k > 0 {
			e.at = max(e.at, own[k-1].at+apart)
		}
		e.think = time.Duration(5+d.below(55)) * time.Second
		switch s {
		case app, keys:
			e.way = byApp
			switch {
			case s == keys && d.percent(50):
				e.way = byKey
			case d.percent(backup):
				e.way = byCode
			case s == app && d.below(1000) < adds:
				e.way = adding
			}
		case mail:
			e.way, e.think = byMail, e.think*2
		case passkeys:
			e.way = alone
		}
		if e.way == byApp || e.way == byMail {
			switch n := d.below(100); {
			case n < missTwo:
				e.wrong = 2
			case n < missOne:
				e.wrong = 1
			}
		}
	}
	return to
}

// time is when a call of a sign-in is made: all
// but the answers at its beginning.
func (e signIn) time(c call) time.Duration {
	switch c {
	case begin, challenge:
		return e.at
	case wrong:
		return e.at + e.think/2
	default:
		return e.at + e.think
	}
}
