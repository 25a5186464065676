package notify

// What the mails say, in English and German.

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-f4994bf1/mfa"
)

// Texts are all that notices say in one language. What is "" or absent takes the
// built-in text of that language, or else the English one. So this changes one
// sentence:
//
//	notify.Texts{Events: map[mfa.EventType]notify.Words{mfa.EventReset: {Advice: "Please come to the help desk."}}}
//
// In braces stand what is filled in: {service}, {account}, {support}, and {event},
// the event's type. Other braces are refused by New.
type Texts struct {
	Dir string // "ltr" or "rtl"

	// Events are what is said of each type of event, to the user and to others
	// alike; those of "" are for every other type.
	Events map[mfa.EventType]Words

	// Kinds are the names of the kinds of factors. One that is not here is
	// called by its own name.
	Kinds map[mfa.Kind]string

	Hello       string // before the name, if there is one, and a comma
	Yours       string // leads to the user's own notice
	Theirs      string // the same for further recipients
	TheirAdvice string // in place of Words.Advice for further recipients
	Service     string // stands in for a service without a name
	Link        string // the name of Options.Settings
	Help        string // with {support}, where there is one
	Footer      string

	// Time is the layout of a time, as package time takes it, without the
	// zone, which is put behind.
	Time string

	// The labels of the details.
	Method, Address, Old, Left, Actor, Reason, When, IP, Program, Account string
}

// Words are what is said of one type of event.
type Words struct {
	Title  string // what happened, also the subject
	Text   string // what that means
	Advice string // what the user should do
}

func (t *Texts) kind(k mfa.Kind) string {
	if s, ok := t.Kinds[k]; ok {
		return s
	}
	return name(string(k))
}

// english is complete: it stands in for what other languages lack.
func english() Texts {
	const (
		notYou   = "If this was not you, somebody else can get into your account: change your password now, and remove what you do not know from your security settings."
		guessed  = "If this was not you, somebody knows your password: change it now."
		makeNew  = "Make new ones in your security settings."
		askForIt = "If you do not know why, ask support at once."
	)
	return Texts{
		Dir: "ltr",
		Events: map[mfa.EventType]Words{
			mfa.EventFactorAdded: {
				"A sign-in method was added", "From now on it can be used to sign in, as the second step.", notYou,
			},
			mfa.EventFactorRemoved: {
				"A sign-in method was removed", "It cannot be used to sign in any more.", notYou,
			},
			mfa.EventFactorRenamed: {
				"A sign-in method was renamed", "Its new name is below. It works as before.", notYou,
			},
			mfa.EventAllRemoved: {
				"Two-step sign-in was turned off", "All methods and backup codes were removed. From now on the password alone signs in.",
				"If this was not you, change your password now, and turn two-step sign-in on again.",
			},
			mfa.EventCodesMade: {
				"New backup codes were made", "Each signs in once when no device is at hand. Backup codes from before are worth nothing any more.",
				"Keep them where you will find them without your devices. " + notYou,
			},
			mfa.EventCodeUsed: {
				"A backup code was used", "It took the place of the usual second step, and is worth nothing any more.", notYou,
			},
			mfa.EventCodesLow: {
				"Few backup codes are left", "When none is left, there may be no way to sign in without a device.", makeNew,
			},
			mfa.EventCodesUsedUp: {
				"No backup codes are left", "There may be no way to sign in now when a device is lost.", makeNew,
			},
			mfa.EventRecoveryChange: {
				"A backup code confirmed a change", "The security settings were changed, and it was a backup code that allowed it.", notYou,
			},
			mfa.EventPaused: {
				"Somebody entered wrong codes", "Whoever it was had passed the first step, which is usually the password, and " +
					"then gave too many wrong codes in a row. No code is checked for a while.", guessed,
			},
			mfa.EventDisabled: {
				"A sign-in method was disabled", "Far too many wrong codes were entered. It cannot be used to sign in any more.",
				guessed + " Then remove the method in your security settings, and add it again.",
			},
			mfa.EventPasswordChanged: {
				"The password was changed", "From now on only the new one signs in.",
				"If this was not you, reset your password at once, and check your security settings.",
			},
			mfa.EventCloned: {
				"A security key may have been copied", "Its counter went back, as when there are two of it. Unless your administrator allows that, it was refused.",
				"If you did not use it just now, remove it in the security settings and add another one.",
			},
			mfa.EventAddressChanged: {
				"An address was changed",
				"Where a method is named below, its codes go to the new address from now on. Otherwise it is the address of the account, and codes still go where they went.",
				notYou,
			},
			mfa.EventRevoked: {
				"Signed out everywhere", "On every device, a new sign-in is needed.", "If this was not you, change your password now.",
			},
			mfa.EventUserDisabled: {
				"The account was disabled", "Nobody can sign in to it any more.", askForIt,
			},
			mfa.EventReset: {
				"Two-step sign-in was reset", "An administrator removed all methods and backup codes. Until new ones are set up, the password alone signs in.",
				"Set up a method when you sign in the next time. " + askForIt,
			},
			"": {
				"A security setting was changed", "What happened is called: {event}.", notYou,
			},
		},
		Kinds: map[mfa.Kind]string{
			"totp": "Authenticator app", "backup": "Backup codes", "email": "Codes by email", "webauthn": "Passkey or security key",
		},
		Hello:       "Hello",
		Yours:       "this is about your account at {service}.",
		Theirs:      "This is about the account {account} at {service}.",
		TheirAdvice: "If you did not expect this, ask the person whose account it is.",
		Service:     "this service",
		Link:        "Security settings",
		Help:        "Support: {support}",
		Footer:      "This is sent whenever something about signing in changes or looks wrong. We never ask for a password or a code by mail.",
		Time:        "2 January 2006, 15:04",
		Method:      "Method", Address: "Address", Old: "Address before", Left: "Backup codes left", Actor: "Done by", Reason: "Reason",
		When: "Time", IP: "IP address", Program: "Device", Account: "Account",
	}
}

func german() Texts {
	const (
		notYou   = "Wenn Sie das nicht waren, kommt jemand anderes in Ihr Konto: Ändern Sie sofort Ihr Passwort, und entfernen Sie aus Ihren Sicherheitseinstellungen, was Sie nicht kennen."
		guessed  = "Wenn Sie das nicht waren, kennt jemand Ihr Passwort: Ändern Sie es sofort."
		makeNew  = "Erzeugen Sie in Ihren Sicherheitseinstellungen neue."
		askForIt = "Wenn Sie nicht wissen, warum, fragen Sie sofort den Support."
	)
	return Texts{
		Dir: "ltr",
		Events: map[mfa.EventType]Words{
			mfa.EventFactorAdded: {
				"Eine Anmeldemethode wurde hinzugefügt", "Ab jetzt kann sie bei der Anmeldung als zweiter Schritt dienen.", notYou,
			},
			mfa.EventFactorRemoved: {
				"Eine Anmeldemethode wurde entfernt", "Mit ihr ist keine Anmeldung mehr möglich.", notYou,
			},
			mfa.EventFactorRenamed: {
				"Eine Anmeldemethode wurde umbenannt", "Ihr neuer Name steht unten. Sie gilt wie bisher.", notYou,
			},
			mfa.EventAllRemoved: {
				"Die Anmeldung in zwei Schritten wurde ausgeschaltet", "Alle Methoden und Ersatzcodes wurden entfernt. Ab jetzt genügt das Passwort.",
				"Wenn Sie das nicht waren, ändern Sie sofort Ihr Passwort, und schalten Sie die Anmeldung in zwei Schritten wieder ein.",
			},
			mfa.EventCodesMade: {
				"Neue Ersatzcodes wurden erzeugt", "Jeder gilt für eine Anmeldung, wenn kein Gerät zur Hand ist. Frühere Ersatzcodes gelten nicht mehr.",
				"Bewahren Sie sie so auf, dass Sie sie auch ohne Ihre Geräte finden. " + notYou,
			},
			mfa.EventCodeUsed: {
				"Ein Ersatzcode wurde benutzt", "Er stand für den üblichen zweiten Schritt und gilt jetzt nicht mehr.", notYou,
			},
			mfa.EventCodesLow: {
				"Es sind nur noch wenige Ersatzcodes da", "Ist keiner mehr da, geht ohne Gerät vielleicht keine Anmeldung mehr.", makeNew,
			},
			mfa.EventCodesUsedUp: {
				"Es sind keine Ersatzcodes mehr da", "Geht jetzt ein Gerät verloren, ist vielleicht keine Anmeldung mehr möglich.", makeNew,
			},
			mfa.EventRecoveryChange: {
				"Ein Ersatzcode hat eine Änderung bestätigt", "Die Sicherheitseinstellungen wurden geändert, und ein Ersatzcode hat das erlaubt.", notYou,
			},
			mfa.EventPaused: {
				"Jemand hat falsche Codes eingegeben", "Wer es auch war, hatte den ersten Schritt geschafft, meist das Passwort, und " +
					"gab dann zu viele falsche Codes hintereinander ein. Eine Weile wird keiner geprüft.", guessed,
			},
			mfa.EventDisabled: {
				"Eine Anmeldemethode wurde gesperrt", "Es wurden viel zu viele falsche Codes eingegeben. Mit ihr ist keine Anmeldung mehr möglich.",
				guessed + " Entfernen Sie dann die Methode in Ihren Sicherheitseinstellungen, und fügen Sie sie neu hinzu.",
			},
			mfa.EventPasswordChanged: {
				"Das Passwort wurde geändert", "Ab jetzt gilt nur noch das neue.",
				"Wenn Sie das nicht waren, setzen Sie Ihr Passwort sofort zurück, und prüfen Sie Ihre Sicherheitseinstellungen.",
			},
			mfa.EventCloned: {
				"Ein Sicherheitsschlüssel wurde vielleicht kopiert", "Sein Zähler ist zurückgegangen, als gäbe es ihn zweimal. Wenn Ihre Verwaltung das nicht zulässt, wurde er abgelehnt.",
				"Wenn Sie ihn gerade nicht benutzt haben, entfernen Sie ihn in den Sicherheitseinstellungen, und fügen Sie einen anderen hinzu.",
			},
			mfa.EventAddressChanged: {
				"Eine Adresse wurde geändert",
				"Steht unten eine Methode, so gehen deren Codes ab jetzt an die neue Adresse. Sonst ist es die Adresse des Kontos, und Codes gehen weiter dorthin, wohin sie gingen.",
				notYou,
			},
			mfa.EventRevoked: {
				"Überall abgemeldet", "Auf jedem Gerät ist eine neue Anmeldung nötig.", "Wenn Sie das nicht waren, ändern Sie sofort Ihr Passwort.",
			},
			mfa.EventUserDisabled: {
				"Das Konto wurde gesperrt", "Niemand kann sich mehr daran anmelden.", askForIt,
			},
			mfa.EventReset: {
				"Die Anmeldung in zwei Schritten wurde zurückgesetzt", "Alle Methoden und Ersatzcodes wurden von der Administration entfernt. " +
					"Bis neue eingerichtet sind, genügt das Passwort.",
				"Richten Sie bei der nächsten Anmeldung eine Methode ein. " + askForIt,
			},
			"": {
				"Eine Sicherheitseinstellung wurde geändert", "Was geschehen ist, heißt: {event}.", notYou,
			},
		},
		Kinds: map[mfa.Kind]string{
			"totp": "Authenticator-App", "backup": "Ersatzcodes", "email": "Codes per E-Mail", "webauthn": "Passkey oder Sicherheitsschlüssel",
		},
		Hello:       "Guten Tag",
		Yours:       "es geht um Ihr Konto bei {service}.",
		Theirs:      "Es geht um das Konto {account} bei {service}.",
		TheirAdvice: "Wenn Sie das nicht erwartet haben, fragen Sie die Person, der das Konto gehört.",
		Service:     "diesem Dienst",
		Link:        "Sicherheitseinstellungen",
		Help:        "Support: {support}",
		Footer:      "Das wird immer verschickt, wenn sich an der Anmeldung etwas ändert oder etwas nicht stimmt. Wir fragen nie per Mail nach einem Passwort oder Code.",
		Time:        "02.01.2006, 15:04",
		Method:      "Methode", Address: "Adresse", Old: "Adresse vorher", Left: "Ersatzcodes übrig", Actor: "Durch", Reason: "Grund",
		When: "Zeit", IP: "IP-Adresse", Program: "Gerät", Account: "Konto",
	}
}

const maxTag = 64 // bytes; no BCP 47 tag is as long

// merge puts what the application gave over what is built in.
func merge(given map[string]Texts) (map[string]*Texts, error) {
	en, de := english(), german()
	all := map[string]*Texts{"en": &en, "de": &de}
	var errs []error
	for _, tag := range slices.Sorted(maps.Keys(given)) { // "de" before "de-at"
		t := given[tag]
		if tag == "" || len(tag) > maxTag {
			errs = append(errs, errors.New("texts without a language tag"))
			continue
		}
		lang := strings.ToLower(tag)
		_, from := nearest(all, lang)
		events, kinds := maps.Clone(from.Events), maps.Clone(from.Kinds)
		for e, w := range t.Events {
			had, ok := events[e]
			if !ok {
				had = events[""]
			}
			fill(&w, &had)
			events[e] = w
		}
		maps.Copy(kinds, t.Kinds)
		fill(&t, from)
		if t.Dir != "ltr" && t.Dir != "rtl" {
			errs = append(errs, fmt.Errorf("texts %q: dir is neither ltr nor rtl", tag))
		}
		t.Events, t.Kinds = events, kinds
		all[lang] = &t
	}
	return all, errors.Join(errs...)
}

// fill sets the strings that are "" in t to what from says.
func fill[T any](t, from *T) {
	dst, src := reflect.ValueOf(t).Elem(), reflect.ValueOf(from).Elem()
	for i := range dst.NumField() {
		if f := dst.Field(i); f.Kind() == reflect.String && f.String() == "" {
			f.Set(src.Field(i))
		}
	}
}

// language returns the texts for a tag, or the nearest that there are.
func (n *Notifier) language(tag string) (string, *Texts) {
	return nearest(n.texts, strings.ToLower(tag[:min(len(tag), maxTag)]))
}

// nearest looks for "de-at", then "de", then English.
func nearest(all map[string]*Texts, tag string) (string, *Texts) {
	for ; tag != ""; tag = tag[:max(strings.LastIndexByte(tag, '-'), 0)] {
		if t := all[tag]; t != nil {
			return tag, t
		}
	}
	return "en", all["en"]
}
