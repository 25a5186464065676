package mfahttp

// What the pages say, in English and German, and how a language is chosen.

import (
	"cmp"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-f4994bf1/mfa"
)

// Texts are all that the pages say in one language. A field that is "" takes
// the built-in text of that language, or else the English one. In braces stand
// what is filled in: {time}, {hint}, {n}, {name}, {service}.
type Texts struct {
	Dir string // "ltr" or "rtl"

	Back, BackToSettings, Cancel, Continue, StartAgain, TryAgain, ErrorPrefix string

	SignInTitle, SignInButton, SignInOther, SignInCancel string
	SignInLink                                           string
	Sent, SendCode, SendAgain, SendAgainIn, SendLater    string
	SendFailed, SendPaused                               string
	OverTitle, OverText                                  string

	StepUpTitle, StepUpText, StepUpButton string
	FirstTitle, FirstText                 string

	// Of methods whose answers a device signs. Refused is what NotAllowedError
	// of a browser can mean, Unsuitable SecurityError and NotSupportedError.
	DeviceButton, DeviceNoScript, DeviceRejected, DeviceFailed         string
	DeviceRefused, DeviceUnsuitable, DeviceUnsupported                 string
	DeviceTitle, DeviceText, DeviceAdd, DeviceRegistered, DeviceUnmade string
	TrialTitle, TrialText, TrialButton, TrialLater, TrialOther         string
	PasskeyButton, PasskeyTitle, PasskeyText, PasskeyRefused           string

	// Rejected is the one text for every other answer that is not accepted.
	Rejected, TooMany, TooManyTitle string

	EnrollForced, AppsTitle, AppsText, AppsNew                   string
	NameLabel, NameHelp, NameBad, Next                           string
	AddressTitle, AddressBad, AddressEmpty, AddressOther         string
	AddressConfirm, ChangeAddress, ChangeAddressText             string
	ScanTitle, ScanText, ScanAlt, ScanOpen, ScanSecret           string
	ScanCode, ScanConfirm, ScanExpired, ScanExpiredTitle         string
	CodesTitle, CodesText, CodesCopy, CodesCopied, CodesDownload string
	CodesPrint, CodesSaved, CodesFile, CodesSession              string

	SecurityTitle, SecurityLead, StateOn, StateOff, StateOnText, StateOffText string
	StateRequired, Exempt, Locked                                             string
	Methods, Added, LastUsed, Never, Disabled, Stale, Rename, Remove          string
	AddTitle, SetUpTitle, BackupTitle, BackupText, BackupNone, NewCodes       string
	OffLink                                                                   string

	RenameTitle, Save                                string
	RemoveTitle, RemoveText                          string
	LastTitle, LastText                              string
	NewCodesTitle, NewCodesText, NewCodesButton      string
	OffTitle, OffText, OffButton, OffDone, OffDelete string
	OffRequired, OffRequiredTitle                    string

	DoneAdded, DoneTried, DoneChanged, DoneRenamed, DoneRemoved, DoneNeeded string

	// Advice by mfa.Advice: "required", "recommended", "more-methods",
	// "codes-low", "codes-used-up", "factor-ended", "stale-address".
	Advice map[mfa.Advice]string

	// Kinds by mfa.Kind. A kind that is not here is called by its own name.
	Kinds map[mfa.Kind]KindTexts

	NotFoundTitle, NotFoundText       string
	InvalidTitle, InvalidText         string
	CrossTitle, CrossText             string
	UnavailableTitle, UnavailableText string
	NoMethodTitle, NoMethodText       string
	ExemptTitle, ExemptText           string
	LimitTitle, LimitText             string
	FailedTitle, FailedText           string
}

// KindTexts are what the pages say of one kind of factor.
type KindTexts struct {
	Name   string // "Authenticator app"
	Prompt string // above the field for its code
	Label  string // of that field
	Use    string // the button that chooses it
	Add    string // the link that adds one
	After  string // what is left to do once one was removed

	Address     string // where codes go: the label of that field
	AddressHelp string // below it
}

// kind returns the texts of k, made up if there are none.
func (t *Texts) kind(k mfa.Kind) KindTexts {
	if kt, ok := t.Kinds[k]; ok {
		return kt
	}
	kt := t.Kinds[""]
	for _, s := range []*string{&kt.Name, &kt.Prompt, &kt.Label, &kt.Use, &kt.Add, &kt.Address, &kt.AddressHelp} {
		*s = strings.ReplaceAll(*s, "{name}", string(k))
	}
	return kt
}

// english is complete: it stands in for what other languages lack.
func english() Texts {
	return Texts{
		Dir:  "ltr",
		Back: "Back", BackToSettings: "Back to security settings", Cancel: "Cancel", Continue: "Continue",
		StartAgain: "Start again", TryAgain: "Try again", ErrorPrefix: "Error",

		SignInTitle:  "One more step",
		SignInButton: "Sign in", SignInOther: "Another way", SignInCancel: "Cancel and sign in as someone else",
		SignInLink: "Go to sign-in",
		Sent:       "We sent a code to {hint}.", SendCode: "Send a code", SendAgain: "Send again",
		SendAgainIn: "Send again in {time}", SendLater: "Another code can be sent at {time}.",
		SendFailed: "The code could not be sent. Please try again.",
		SendPaused: "If you have a code already, it is still good. Another one can be sent at {time}.",
		OverTitle:  "This sign-in has ended",
		OverText: "It was finished or cancelled, took longer than ten minutes, or your browser did not keep its cookie. " +
			"Nothing is lost: sign in once more.",

		StepUpTitle:  "Confirm that it is you",
		StepUpText:   "You are about to change or see something that needs protection.",
		StepUpButton: "Confirm",
		FirstTitle:   "Please sign in once more",
		FirstText:    "Your last sign-in was a while ago. Sign in again, and you will come back to where you were.",

		DeviceButton:      "Use your device",
		DeviceNoScript:    "This method needs JavaScript. Switch it on and load the page again, or take another method.",
		DeviceRejected:    "That was not accepted. Try again, or take another way.",
		DeviceFailed:      "That was not accepted, and nothing was added. Please begin again.",
		DeviceRefused:     "It was cancelled, took too long, or there is no device for this account here. Try again, or take another way.",
		DeviceUnsuitable:  "Passkeys and security keys do not work here. Take another way.",
		DeviceUnsupported: "This browser has no passkeys and security keys. Take another way, or another browser.",
		DeviceTitle:       "Now your device",
		DeviceText:        "Press the button and follow your browser. It asks for your finger, your face or a PIN, or for a touch of your security key.",
		DeviceAdd:         "Add this device",
		DeviceRegistered:  "This device was added before. Take another one.",
		DeviceUnmade:      "Nothing was added: it was cancelled, or took too long. Try again.",
		TrialTitle:        "Try it once",
		TrialText:         "Your device was added. Sign in with it once now, so that you know how it works.",
		TrialButton:       "Try it", TrialLater: "Later",
		TrialOther:    "That was another one of your devices. Take the one that you have just added.",
		PasskeyButton: "Sign in with a passkey",
		PasskeyTitle:  "This passkey was not accepted",
		PasskeyText: "It may have been removed from its account, was not made to sign in alone, or did not make sure that it is you. " +
			"Sign in another way, or try again.",
		PasskeyRefused: "No passkey was used: it was cancelled, took too long, or there is none here.",

		Rejected: "That was not accepted. Check it, or use a newer code: each one works once, and only for a short time.",
		TooMany:  "Too many attempts. Nothing is checked until {time}.", TooManyTitle: "Too many attempts",

		EnrollForced: "Your account has to be protected by a second step. It takes about a minute.",
		AppsTitle:    "Get an authenticator app", AppsText: "Any app that shows six-digit codes will do. For example:",
		AppsNew:   "Already have one? Continue.",
		NameLabel: "Name for this device (optional)", NameHelp: "For example: my phone. You see it in your settings.",
		NameBad:      "This name cannot be used. Take a shorter one, without special characters.",
		Next:         "Continue",
		AddressTitle: "Confirm your address", AddressBad: "This address cannot be used.",
		AddressEmpty: "Leave it empty to use the address of your account.", AddressOther: "Another address",
		AddressConfirm: "Confirm", ChangeAddress: "Change address",
		ChangeAddressText: "Codes go to {hint} until you have confirmed the new address.",
		ScanTitle:         "Scan this code", ScanText: "Open your authenticator app, add an account, and point the camera here.",
		ScanAlt: "QR code with the setup key below", ScanOpen: "Open in the authenticator app on this device",
		ScanSecret: "Cannot scan it? Type this key into the app:",
		ScanCode:   "Code from the app", ScanConfirm: "Turn on",
		ScanExpiredTitle: "This setup has ended",
		ScanExpired: "It was finished, or took too long. If your backup codes were not saved, " +
			"make new ones in the security settings.",
		CodesTitle:  "Save your backup codes",
		CodesText:   "If you lose your device, each of these codes signs you in once. They are shown only now. Keep them where you will find them without the device.",
		CodesCopy:   "Copy",
		CodesCopied: "Copied", CodesDownload: "Download", CodesPrint: "Print",
		CodesSaved: "I saved these codes", CodesFile: "Backup codes for {service}. Each works once.",
		CodesSession: "Your sign-in could not be completed. Save the codes, then sign in again.",

		SecurityTitle: "Two-step sign-in",
		SecurityLead:  "A second step protects your account when somebody learns your password.",
		StateOn:       "On", StateOff: "Off",
		StateOnText: "Signing in takes a second step.", StateOffText: "Your password alone signs you in.",
		StateRequired: "Your account has to keep it on.",
		Exempt:        "This account is exempt from the second step where it signs in by: {name}.",
		Locked:        "Somebody entered wrong codes. No code is checked until {time}.",
		Methods:       "Your methods", Added: "Added", LastUsed: "last used", Never: "never", Disabled: "Disabled",
		Stale: "Old address", Rename: "Rename", Remove: "Remove",
		AddTitle: "Add a method", SetUpTitle: "Turn it on with",
		BackupTitle: "Backup codes", BackupText: "{n} left. Each signs you in once when you have no device at hand.",
		BackupNone: "You have none. They sign you in when you have no device at hand.", NewCodes: "Make new codes",
		OffLink: "Turn off two-step sign-in",

		RenameTitle: "Rename", Save: "Save",
		RemoveTitle: "Remove {name}?", RemoveText: "It will not sign you in any more.",
		LastTitle: "This is your only method", LastText: "Add another one first, or turn two-step sign-in off.",
		NewCodesTitle: "Make new backup codes?", NewCodesText: "The codes that you have now stop working at once.",
		NewCodesButton: "Make new codes",
		OffTitle:       "Turn off two-step sign-in?",
		OffText:        "All methods and backup codes are removed, and your password alone signs you in.",
		OffButton:      "Turn off", OffDone: "Two-step sign-in is off",
		OffDelete:        "Now delete the entry for this account in your authenticator app: its codes are worth nothing any more. You can throw your backup codes away.",
		OffRequiredTitle: "Two-step sign-in stays on",
		OffRequired:      "Your account has to keep two-step sign-in. You can replace a method by adding a new one first.",

		DoneAdded: "The method was added.", DoneTried: "Your device was added, and it works.", DoneChanged: "Your address was changed.", DoneRenamed: "The name was changed.", DoneRemoved: "The method was removed.",
		DoneNeeded: "What you wanted to do needs a second step. Set one up here.",

		Advice: map[mfa.Advice]string{
			mfa.AdviceRequired:    "Your account has to be protected by a second step. Please set one up.",
			mfa.AdviceRecommended: "We recommend a second step. It takes about a minute.",
			mfa.AdviceMoreMethods: "Set up a second method, so that losing one device does not lock you out.",
			mfa.AdviceCodesLow:    "Few backup codes are left. Make new ones.",
			mfa.AdviceCodesUsedUp: "No backup codes are left. Make new ones.",
			mfa.AdviceFactorEnded: "A method was disabled after too many wrong codes. Remove it and add it again.",
			mfa.AdviceStale:       "Your account has a new email address. Codes still go to the old one until you confirm the new one.",
		},
		Kinds: map[mfa.Kind]KindTexts{
			kindTOTP: {
				Name: "Authenticator app", Prompt: "Enter the code that your authenticator app shows now.", Label: "Code",
				Use: "Code from an authenticator app", Add: "Authenticator app",
				After: "Now delete its entry in the app, too.",
			},
			kindBackup: {
				Name: "Backup codes", Prompt: "Enter one of the backup codes that you saved. It works once.", Label: "Backup code",
				Use: "Backup code", Add: "Backup codes",
			},
			kindEmail: {
				Name: "Email", Prompt: "Enter the code from the email.", Label: "Code from the email",
				Use: "Code by email", Add: "Email",
				Address: "Email address", AddressHelp: "We send the first code there now, to make sure that it arrives.",
			},
			"webauthn": {
				Name: "Passkey or security key", Label: "Passkey or security key",
				Prompt: "Use a passkey or security key that you have added: with your finger, your face, a PIN, or a touch.",
				Use:    "Passkey or security key", Add: "Passkey or security key",
				After: "If a browser still offers it to you, delete it there, too.",
			},
			"": {
				Name: "{name}", Prompt: "Enter your code.", Label: "Code", Use: "{name}", Add: "{name}",
				Address: "Address", AddressHelp: "We send the first code there now, to make sure that it arrives.",
			},
		},

		NotFoundTitle: "Nothing here", NotFoundText: "This page does not exist, or what it showed is gone.",
		InvalidTitle: "That did not work", InvalidText: "Your browser sent something that this page does not understand.",
		CrossTitle: "That came from another site", CrossText: "For your protection it was ignored. If you wanted it, do it here.",
		UnavailableTitle: "Please try again in a moment",
		UnavailableText:  "We could not check that just now. Trying again is safe.",
		NoMethodTitle:    "No method can be used here",
		NoMethodText:     "Your account is protected by a second step, and none of your methods works on this page. Please ask for help.",
		ExemptTitle:      "This account is for programs",
		ExemptText:       "It signs in at the routes made for it, not on a page.",
		LimitTitle:       "That is the limit", LimitText: "Remove one before you add another.",
		FailedTitle: "Something went wrong", FailedText: "It is not your fault. Please try again later.",
	}
}

func german() Texts {
	return Texts{
		Dir:  "ltr",
		Back: "Zurück", BackToSettings: "Zurück zur Sicherheit", Cancel: "Abbrechen", Continue: "Weiter",
		StartAgain: "Neu beginnen", TryAgain: "Erneut versuchen", ErrorPrefix: "Fehler",

		SignInTitle:  "Noch ein Schritt",
		SignInButton: "Anmelden", SignInOther: "Auf andere Weise", SignInCancel: "Abbrechen und als jemand anderes anmelden",
		SignInLink: "Zur Anmeldung",
		Sent:       "Wir haben einen Code an {hint} geschickt.", SendCode: "Code schicken", SendAgain: "Erneut schicken",
		SendAgainIn: "Erneut schicken in {time}", SendLater: "Ein weiterer Code kann um {time} verschickt werden.",
		SendFailed: "Der Code konnte nicht verschickt werden. Bitte versuchen Sie es noch einmal.",
		SendPaused: "Wenn Sie schon einen Code haben, gilt er noch. Ein weiterer kann um {time} verschickt werden.",
		OverTitle:  "Diese Anmeldung ist zu Ende",
		OverText: "Sie wurde abgeschlossen oder abgebrochen, dauerte länger als zehn Minuten, oder Ihr Browser hat sein " +
			"Cookie nicht behalten. Es ist nichts verloren: Melden Sie sich noch einmal an.",

		StepUpTitle:  "Bestätigen Sie, dass Sie es sind",
		StepUpText:   "Sie ändern oder sehen gleich etwas, das Schutz braucht.",
		StepUpButton: "Bestätigen",
		FirstTitle:   "Bitte melden Sie sich noch einmal an",
		FirstText:    "Ihre letzte Anmeldung liegt eine Weile zurück. Melden Sie sich an, danach geht es hier weiter.",

		DeviceButton:      "Gerät benutzen",
		DeviceNoScript:    "Diese Methode braucht JavaScript. Schalten Sie es ein, und laden Sie die Seite neu, oder nehmen Sie eine andere Methode.",
		DeviceRejected:    "Das wurde nicht angenommen. Versuchen Sie es noch einmal, oder nehmen Sie einen anderen Weg.",
		DeviceFailed:      "Das wurde nicht angenommen, und nichts wurde hinzugefügt. Bitte beginnen Sie neu.",
		DeviceRefused:     "Es wurde abgebrochen, dauerte zu lange, oder hier ist kein Gerät für dieses Konto. Versuchen Sie es noch einmal, oder nehmen Sie einen anderen Weg.",
		DeviceUnsuitable:  "Passkeys und Sicherheitsschlüssel gehen hier nicht. Nehmen Sie einen anderen Weg.",
		DeviceUnsupported: "Dieser Browser kennt keine Passkeys und Sicherheitsschlüssel. Nehmen Sie einen anderen Weg oder einen anderen Browser.",
		DeviceTitle:       "Jetzt Ihr Gerät",
		DeviceText:        "Drücken Sie den Knopf, und folgen Sie Ihrem Browser. Er verlangt Ihren Finger, Ihr Gesicht oder eine PIN, oder dass Sie Ihren Sicherheitsschlüssel berühren.",
		DeviceAdd:         "Dieses Gerät hinzufügen",
		DeviceRegistered:  "Dieses Gerät ist schon da. Nehmen Sie ein anderes.",
		DeviceUnmade:      "Es wurde nichts hinzugefügt: Es wurde abgebrochen oder dauerte zu lange. Versuchen Sie es noch einmal.",
		TrialTitle:        "Einmal ausprobieren",
		TrialText:         "Ihr Gerät wurde hinzugefügt. Melden Sie sich jetzt einmal damit an, dann wissen Sie, wie es geht.",
		TrialButton:       "Ausprobieren", TrialLater: "Später",
		TrialOther:    "Das war ein anderes Ihrer Geräte. Nehmen Sie das, das Sie gerade hinzugefügt haben.",
		PasskeyButton: "Mit Passkey anmelden",
		PasskeyTitle:  "Dieser Passkey wurde nicht angenommen",
		PasskeyText: "Vielleicht wurde er aus seinem Konto entfernt, ist nicht dafür da, allein anzumelden, oder hat nicht geprüft, dass Sie es sind. " +
			"Melden Sie sich auf andere Weise an, oder versuchen Sie es noch einmal.",
		PasskeyRefused: "Es wurde kein Passkey benutzt: Es wurde abgebrochen, dauerte zu lange, oder hier ist keiner.",

		Rejected: "Das wurde nicht angenommen. Prüfen Sie die Eingabe, oder nehmen Sie einen neueren Code: Jeder gilt nur einmal und nur kurz.",
		TooMany:  "Zu viele Versuche. Bis {time} wird nichts geprüft.", TooManyTitle: "Zu viele Versuche",

		EnrollForced: "Ihr Konto muss mit einem zweiten Schritt geschützt werden. Das dauert etwa eine Minute.",
		AppsTitle:    "Authenticator-App besorgen", AppsText: "Jede App, die sechsstellige Codes zeigt, ist geeignet. Zum Beispiel:",
		AppsNew:   "Schon eine App? Weiter.",
		NameLabel: "Name für dieses Gerät (freiwillig)", NameHelp: "Zum Beispiel: mein Telefon. Er steht in Ihren Einstellungen.",
		NameBad:      "Dieser Name geht nicht. Nehmen Sie einen kürzeren ohne Sonderzeichen.",
		Next:         "Weiter",
		AddressTitle: "Bestätigen Sie Ihre Adresse", AddressBad: "Diese Adresse geht nicht.",
		AddressEmpty: "Ohne Eintrag nehmen wir die Adresse Ihres Kontos.", AddressOther: "Andere Adresse",
		AddressConfirm: "Bestätigen", ChangeAddress: "Adresse ändern",
		ChangeAddressText: "Codes gehen an {hint}, bis Sie die neue Adresse bestätigt haben.",
		ScanTitle:         "Diesen Code scannen", ScanText: "Öffnen Sie Ihre Authenticator-App, fügen Sie ein Konto hinzu, und richten Sie die Kamera hierher.",
		ScanAlt: "QR-Code mit dem Schlüssel, der darunter steht", ScanOpen: "In der Authenticator-App auf diesem Gerät öffnen",
		ScanSecret: "Scannen geht nicht? Geben Sie diesen Schlüssel in die App ein:",
		ScanCode:   "Code aus der App", ScanConfirm: "Einschalten",
		ScanExpiredTitle: "Diese Einrichtung ist zu Ende",
		ScanExpired: "Sie wurde abgeschlossen oder dauerte zu lange. Wenn Ihre Ersatzcodes nicht gesichert sind, " +
			"erzeugen Sie in den Einstellungen neue.",
		CodesTitle:  "Sichern Sie Ihre Ersatzcodes",
		CodesText:   "Wenn Ihr Gerät verloren geht, meldet jeder dieser Codes Sie einmal an. Sie werden nur jetzt gezeigt. Bewahren Sie sie so auf, dass Sie sie auch ohne das Gerät finden.",
		CodesCopy:   "Kopieren",
		CodesCopied: "Kopiert", CodesDownload: "Herunterladen", CodesPrint: "Drucken",
		CodesSaved: "Ich habe die Codes gesichert", CodesFile: "Ersatzcodes für {service}. Jeder gilt einmal.",
		CodesSession: "Die Anmeldung konnte nicht abgeschlossen werden. Sichern Sie die Codes, und melden Sie sich dann neu an.",

		SecurityTitle: "Anmeldung in zwei Schritten",
		SecurityLead:  "Ein zweiter Schritt schützt Ihr Konto, wenn jemand Ihr Passwort erfährt.",
		StateOn:       "Ein", StateOff: "Aus",
		StateOnText: "Zur Anmeldung gehört ein zweiter Schritt.", StateOffText: "Zur Anmeldung genügt Ihr Passwort.",
		StateRequired: "Für Ihr Konto ist das Pflicht.",
		Exempt:        "Dieses Konto braucht keinen zweiten Schritt, wo es sich so anmeldet: {name}.",
		Locked:        "Jemand hat falsche Codes eingegeben. Bis {time} wird keiner geprüft.",
		Methods:       "Ihre Methoden", Added: "Hinzugefügt", LastUsed: "zuletzt benutzt", Never: "nie", Disabled: "Gesperrt",
		Stale: "Alte Adresse", Rename: "Umbenennen", Remove: "Entfernen",
		AddTitle: "Methode hinzufügen", SetUpTitle: "Einschalten mit",
		BackupTitle: "Ersatzcodes", BackupText: "Noch {n}. Jeder meldet Sie einmal an, wenn kein Gerät zur Hand ist.",
		BackupNone: "Sie haben keine. Sie melden Sie an, wenn kein Gerät zur Hand ist.", NewCodes: "Neue Codes erzeugen",
		OffLink: "Anmeldung in zwei Schritten ausschalten",

		RenameTitle: "Umbenennen", Save: "Speichern",
		RemoveTitle: "{name} entfernen?", RemoveText: "Damit können Sie sich dann nicht mehr anmelden.",
		LastTitle: "Das ist Ihre einzige Methode", LastText: "Fügen Sie erst eine andere hinzu, oder schalten Sie den zweiten Schritt aus.",
		NewCodesTitle: "Neue Ersatzcodes erzeugen?", NewCodesText: "Ihre jetzigen Codes gelten dann sofort nicht mehr.",
		NewCodesButton: "Neue Codes erzeugen",
		OffTitle:       "Zweiten Schritt ausschalten?",
		OffText:        "Alle Methoden und Ersatzcodes werden entfernt, und Ihr Passwort allein meldet Sie an.",
		OffButton:      "Ausschalten", OffDone: "Der zweite Schritt ist aus",
		OffDelete:        "Löschen Sie jetzt den Eintrag für dieses Konto in Ihrer Authenticator-App: Seine Codes gelten nicht mehr. Ihre Ersatzcodes können Sie wegwerfen.",
		OffRequiredTitle: "Der zweite Schritt bleibt an",
		OffRequired:      "Für Ihr Konto ist der zweite Schritt Pflicht. Sie können eine Methode ersetzen, indem Sie erst eine neue hinzufügen.",

		DoneAdded: "Die Methode wurde hinzugefügt.", DoneTried: "Ihr Gerät wurde hinzugefügt, und es geht.", DoneChanged: "Ihre Adresse wurde geändert.", DoneRenamed: "Der Name wurde geändert.", DoneRemoved: "Die Methode wurde entfernt.",
		DoneNeeded: "Was Sie vorhaben, braucht einen zweiten Schritt. Richten Sie ihn hier ein.",

		Advice: map[mfa.Advice]string{
			mfa.AdviceRequired:    "Ihr Konto muss mit einem zweiten Schritt geschützt werden. Bitte richten Sie ihn ein.",
			mfa.AdviceRecommended: "Wir empfehlen einen zweiten Schritt. Das dauert etwa eine Minute.",
			mfa.AdviceMoreMethods: "Richten Sie eine zweite Methode ein, damit ein verlorenes Gerät Sie nicht aussperrt.",
			mfa.AdviceCodesLow:    "Es sind nur noch wenige Ersatzcodes da. Erzeugen Sie neue.",
			mfa.AdviceCodesUsedUp: "Es sind keine Ersatzcodes mehr da. Erzeugen Sie neue.",
			mfa.AdviceFactorEnded: "Eine Methode wurde nach zu vielen falschen Codes gesperrt. Entfernen Sie sie, und fügen Sie sie neu hinzu.",
			mfa.AdviceStale:       "Ihr Konto hat eine neue E-Mail-Adresse. Codes gehen noch an die alte, bis Sie die neue bestätigt haben.",
		},
		Kinds: map[mfa.Kind]KindTexts{
			kindTOTP: {
				Name: "Authenticator-App", Prompt: "Geben Sie den Code ein, den Ihre Authenticator-App gerade zeigt.", Label: "Code",
				Use: "Code aus einer Authenticator-App", Add: "Authenticator-App",
				After: "Löschen Sie jetzt auch den Eintrag in der App.",
			},
			kindBackup: {
				Name: "Ersatzcodes", Prompt: "Geben Sie einen der Ersatzcodes ein, die Sie gesichert haben. Er gilt einmal.", Label: "Ersatzcode",
				Use: "Ersatzcode", Add: "Ersatzcodes",
			},
			kindEmail: {
				Name: "E-Mail", Prompt: "Geben Sie den Code aus der E-Mail ein.", Label: "Code aus der E-Mail",
				Use: "Code per E-Mail", Add: "E-Mail",
				Address: "E-Mail-Adresse", AddressHelp: "Den ersten Code schicken wir jetzt dorthin, damit sicher ist, dass er ankommt.",
			},
			"webauthn": {
				Name: "Passkey oder Sicherheitsschlüssel", Label: "Passkey oder Sicherheitsschlüssel",
				Prompt: "Benutzen Sie einen Passkey oder Sicherheitsschlüssel, den Sie hinzugefügt haben: mit Finger, Gesicht, PIN oder einer Berührung.",
				Use:    "Passkey oder Sicherheitsschlüssel", Add: "Passkey oder Sicherheitsschlüssel",
				After: "Wenn ein Browser ihn noch anbietet, löschen Sie ihn auch dort.",
			},
			"": {
				Name: "{name}", Prompt: "Geben Sie Ihren Code ein.", Label: "Code", Use: "{name}", Add: "{name}",
				Address: "Adresse", AddressHelp: "Den ersten Code schicken wir jetzt dorthin, damit sicher ist, dass er ankommt.",
			},
		},

		NotFoundTitle: "Hier ist nichts", NotFoundText: "Diese Seite gibt es nicht, oder was sie zeigte, ist fort.",
		InvalidTitle: "Das ging nicht", InvalidText: "Ihr Browser hat etwas geschickt, das diese Seite nicht versteht.",
		CrossTitle: "Das kam von einer anderen Website", CrossText: "Zu Ihrem Schutz wurde es nicht beachtet. Wenn Sie es wollten, tun Sie es hier.",
		UnavailableTitle: "Bitte gleich noch einmal versuchen",
		UnavailableText:  "Wir konnten das gerade nicht prüfen. Sie können es gefahrlos noch einmal versuchen.",
		NoMethodTitle:    "Hier geht keine Methode",
		NoMethodText:     "Ihr Konto ist mit einem zweiten Schritt geschützt, und keine Ihrer Methoden geht auf dieser Seite. Bitte lassen Sie sich helfen.",
		ExemptTitle:      "Dieses Konto ist für Programme",
		ExemptText:       "Es meldet sich an den Adressen an, die dafür da sind, nicht auf einer Seite.",
		LimitTitle:       "Mehr geht nicht", LimitText: "Entfernen Sie eine Methode, bevor Sie noch eine hinzufügen.",
		FailedTitle: "Etwas ist schiefgegangen", FailedText: "Es liegt nicht an Ihnen. Bitte versuchen Sie es später noch einmal.",
	}
}

// texts merges what the application gave over what is built in.
func texts(given map[string]Texts) map[string]*Texts {
	en, de := english(), german()
	all := map[string]*Texts{"en": &en, "de": &de}
	for _, lang := range slices.Sorted(maps.Keys(given)) {
		t := given[lang]
		lang = strings.ToLower(lang)
		base, _, _ := strings.Cut(lang, "-")
		fill(&t, cmp.Or(all[lang], all[base], &en))
		all[lang] = &t
	}
	return all
}

// fill sets what is empty in t to what from says.
func fill(t, from *Texts) {
	dst, src := reflect.ValueOf(t).Elem(), reflect.ValueOf(from).Elem()
	for i := range dst.NumField() {
		if f := dst.Field(i); f.Kind() == reflect.String && f.String() == "" {
			f.Set(src.Field(i))
		}
	}
	advice := maps.Clone(from.Advice)
	maps.Copy(advice, t.Advice)
	kinds := maps.Clone(from.Kinds)
	for k, given := range t.Kinds {
		had := from.kind(k)
		d, s := reflect.ValueOf(&given).Elem(), reflect.ValueOf(had)
		for i := range d.NumField() {
			if d.Field(i).String() == "" {
				d.Field(i).Set(s.Field(i))
			}
		}
		kinds[k] = given
	}
	t.Advice, t.Kinds = advice, kinds
}

// language chooses among the texts: what the application says, then what the
// browser asks for, then English.
func (h *Handler) language(r *http.Request, user string) (string, *Texts) {
	if h.opts.Language != nil {
		user = cmp.Or(h.opts.Language(r), user)
	}
	if lang, t := h.match(user); t != nil {
		return lang, t
	}
	type choice struct {
		tag string
		q   float64
	}
	var choices []choice
	header := r.Header.Get("Accept-Language")
	for part := range strings.SplitSeq(header[:min(len(header), 1024)], ",") {
		tag, params, _ := strings.Cut(part, ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q, _ = strconv.ParseFloat(v, 64)
		}
		if q > 0 {
			choices = append(choices, choice{strings.TrimSpace(tag), q})
		}
	}
	slices.SortStableFunc(choices, func(a, b choice) int { return cmp.Compare(b.q, a.q) })
	for _, c := range choices {
		if lang, t := h.match(c.tag); t != nil {
			return lang, t
		}
	}
	return "en", h.texts["en"]
}

// match finds the texts for a tag, or for the longest part of it that has some.
func (h *Handler) match(tag string) (string, *Texts) {
	tag = strings.ToLower(strings.ReplaceAll(tag, "_", "-"))
	for tag != "" {
		if t := h.texts[tag]; t != nil {
			return tag, t
		}
		tag = tag[:max(strings.LastIndexByte(tag, '-'), 0)]
	}
	return "", nil
}
