package emailotp

// What the mails say, in English and German.

import "github.com/seed-f4994bf1/mfa/mail"

// letters greet by name only where the address was confirmed: before that, a
// stranger may have typed it, and the name too.
func letters() map[string]mail.Letter {
	return map[string]mail.Letter{
		"en": {
			Subject: `{{if .Enroll}}Confirm your address for {{.Service}}{{else}}Your sign-in code for {{.Service}}{{end}}`,
			Text: `Hello{{if not .Enroll}}{{with .Name}} {{.}}{{end}}{{end}},

{{if .Enroll}}with this code you confirm that {{.Service}} may send sign-in codes to this address:
{{- else}}with this code you sign in to {{.Service}}:{{end}}

    {{.Code}}

It works once, for {{.Minutes}} minute{{if ne .Minutes 1}}s{{end}}, on the page that asked for it. Nobody from {{.Service}} will ever ask you for it.

{{if .Enroll}}If you did not ask for it, ignore this mail: nothing was changed.
{{- else}}If you are not signing in just now, somebody else knows your password: change it, and give this code to nobody.{{end}}
`,
			HTML: sheet(
				`Hello{{if not .Enroll}}{{with .Name}} {{.}}{{end}}{{end}},`,
				`{{if .Enroll}}with this code you confirm that {{.Service}} may send sign-in codes to this address:{{else}}with this code you sign in to {{.Service}}:{{end}}`,
				`It works once, for {{.Minutes}} minute{{if ne .Minutes 1}}s{{end}}, on the page that asked for it. Nobody from {{.Service}} will ever ask you for it.`,
				`{{if .Enroll}}If you did not ask for it, ignore this mail: nothing was changed.{{else}}If you are not signing in just now, somebody else knows your password: change it, and give this code to nobody.{{end}}`,
			),
		},
		"de": {
			Subject: `{{if .Enroll}}Bestätigen Sie Ihre Adresse für {{.Service}}{{else}}Ihr Anmeldecode für {{.Service}}{{end}}`,
			Text: `Guten Tag{{if not .Enroll}}{{with .Name}} {{.}}{{end}}{{end}},

{{if .Enroll}}mit diesem Code bestätigen Sie, dass {{.Service}} Anmeldecodes an diese Adresse schicken darf:
{{- else}}mit diesem Code melden Sie sich bei {{.Service}} an:{{end}}

    {{.Code}}

Er gilt einmal, {{.Minutes}} Minute{{if ne .Minutes 1}}n{{end}} lang, auf der Seite, die nach ihm fragt. Niemand von {{.Service}} wird Sie je danach fragen.

{{if .Enroll}}Haben Sie ihn nicht angefordert, beachten Sie diese Mail nicht: Es wurde nichts geändert.
{{- else}}Melden Sie sich gerade nicht an, so kennt jemand anderes Ihr Passwort: Ändern Sie es, und geben Sie diesen Code niemandem.{{end}}
`,
			HTML: sheet(
				`Guten Tag{{if not .Enroll}}{{with .Name}} {{.}}{{end}}{{end}},`,
				`{{if .Enroll}}mit diesem Code bestätigen Sie, dass {{.Service}} Anmeldecodes an diese Adresse schicken darf:{{else}}mit diesem Code melden Sie sich bei {{.Service}} an:{{end}}`,
				`Er gilt einmal, {{.Minutes}} Minute{{if ne .Minutes 1}}n{{end}} lang, auf der Seite, die nach ihm fragt. Niemand von {{.Service}} wird Sie je danach fragen.`,
				`{{if .Enroll}}Haben Sie ihn nicht angefordert, beachten Sie diese Mail nicht: Es wurde nichts geändert.{{else}}Melden Sie sich gerade nicht an, so kennt jemand anderes Ihr Passwort: Ändern Sie es, und geben Sie diesen Code niemandem.{{end}}`,
			),
		},
	}
}

// sheet is the frame of the HTML part. Its styles are inline, because many mail
// programs take no others; the dark ones are for those that do.
func sheet(hello, what, rules, otherwise string) string {
	return `<!doctype html>
<html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">
<style>@media (prefers-color-scheme: dark) { body { background: #16181d !important } .sheet { background: #20232a !important; color: #e8eaee !important } .code { background: #2b2f38 !important; color: #fff !important } .fine { color: #a9b0bc !important } }</style>
</head><body style="margin:0;padding:24px 12px;background:#f2f3f5">
<div class="sheet" style="max-width:30rem;margin:0 auto;padding:28px 24px;border-radius:12px;background:#fff;color:#1d2129;font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif">
<p style="margin:0 0 12px">` + hello + `</p>
<p style="margin:0 0 12px">` + what + `</p>
<p class="code" style="margin:20px 0;padding:16px;border-radius:8px;background:#eef1f6;color:#11151c;font:600 30px/1.2 ui-monospace,Menlo,Consolas,monospace;letter-spacing:6px;text-align:center">{{.Code}}</p>
<p style="margin:0 0 12px">` + rules + `</p>
<p class="fine" style="margin:0;color:#5b6472;font-size:14px">` + otherwise + `</p>
</div></body></html>`
}
