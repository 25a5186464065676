// Package mfahttp is the second factor as web pages and as a JSON API, over
// net/http: the step of the sign-in, the Security page with its wizard, and the
// step-up in front of what needs one.
//
// The application keeps its users, passwords and sessions, and lends the
// sessions to a [Handler] as an [App]. Three calls are all:
//
//	pages, err := mfahttp.New(guard, app, nil)
//	mux.Handle("/mfa/", pages)                               // the Security page is /mfa/
//	pages.SignIn(w, r, mfa.FirstFactor{UserID: id, By: mfa.ByPassword}) // where a session was started
//	mux.Handle("/orders", pages.Require(mfa.Rule{AllowWithout: true})(orders))
//
// # Pages
//
// All of them work without JavaScript, but for passkeys and security keys, which are
// the browser's: there the page says so, and offers the other methods. A small script
// adds these, copying, printing, local times and a guard against double clicks. They are drawn in a plain
// frame, or in the application's own by [Options].Render, and speak English and
// German, or what Options.Texts says.
//
//	GET       {Path}                  the Security page: what is set up, advice, what can be added
//	GET POST  {Path}enroll?kind=      the wizard: which apps fit, a name; then what to scan,
//	                                  or an address; then the code that was sent there
//	POST      {Path}confirm           what turns it on; then the backup codes, once
//	GET POST  {Path}trial?id=         after a new device: one sign-in by it, or later
//	POST      {Path}codes/download    the codes of that page as a file; nothing is kept
//	GET POST  {Path}codes             new backup codes; the old ones die
//	GET POST  {Path}rename?id=        another name
//	GET POST  {Path}remove?id=        one method less
//	GET POST  {Path}off               all of it off
//	GET       {Path}off/done          what to do in the app after that
//	GET       {Path}step-up?next=     once more a second factor, then on to next
//	POST      {Path}step-up/verify    also method, cancel
//	GET       {Path}sign-in           the second step, where SignIn leads
//	POST      {Path}sign-in/verify    also method, cancel
//	POST      {Path}sign-in/enroll    also confirm; where a method must be set up first
//	POST      {Path}passkey           a sign-in by a passkey alone, from the application's page
//	GET       {Path}sign-in/over      the end of a sign-in that is not under way any more
//
// The form with the password is answered by a redirect to the page of the
// second step, so that a reload does not send the password again and Back and
// Forward work. A sealed token stands for the sign-in, good in any process that
// has the same keys, after a restart as before it. It is in a form field of the
// page, so that what is sent from a tab is about what that tab shows, and in a
// cookie, so that the page can be drawn again; never in an address. A password
// given anew in the same browser goes on with the same sign-in, so that a code on
// its way stays good. A token that is spent leads to sign-in/over, which passes
// on whoever is signed in by now, and offers everybody else to start again.
//
// A code that has to be sent goes out with the form that leads to its page, never
// by a GET. That page says where it went, and from when on another may be sent,
// which the script counts down; so do the pages after it, by the field "sent" of
// their addresses and forms, which is believed for that and nothing else. Whoever
// goes back and gives the password again within the pause is told so, and the code
// in hand stays good. One that could not be sent may be sent again at once.
//
// Of a method that is an address (mfa.Traits Single and OutOfBand) there is one: the
// Security page changes it, and says so where the profile has another by now.
// Addresses are in bodies, as codes are.
//
// Pages that answer a form directly, such as after a wrong code, have the script
// put an address into the history that can be reloaded and come back to. Without
// the script, browsers ask whether to send the form again; that does no harm.
//
// A wizard's secret is shown by the server once. So that a mistyped code does
// not mean a new entry in the app, the form with the code holds what is shown,
// and the page that says "wrong" takes it from there. It travels in bodies
// between this page and this server, as the code does, is never in an address,
// and after the confirmation there is nothing left to be fetched. What comes
// back is shown as an image and as text only.
//
// Answers that are not accepted get one page with one text and status 422,
// whatever was wrong with them; past the limit it is 429, with Retry-After and
// the time of day, right or wrong. When nothing could be found out it is 503,
// with a button that sends the same again: every code works once, so that is
// safe.
//
// # Passkeys and security keys
//
// Where a method's answers are signed and not typed, the page holds the options of
// a challenge that was made as it was drawn, which sends and writes nothing. A button
// has the script ask the browser, and the form brings the answer as a code would
// be brought. The wizard asks for a name first, and ends with one sign-in by the new
// device, by which it is known that it works; Options.NoTrial leaves that out. An
// enrolment whose answer was refused is used up: the wizard begins anew.
//
// The Security page tells the browser which passkeys there still are (the Signal
// API), so that it offers no others.
//
// For a sign-in without a name and a password, the application's own page has the
// module and a button, and passkeys are offered in the field for the name where the
// browser can (conditional mediation):
//
//	<script type="module" src="{{.Script}}"></script>         Handler.Script
//	<input name="user" autocomplete="username webauthn">
//	{{.PasskeyButton}}                                        Handler.PasskeyButton
//
// That page's Content-Security-Policy must allow script-src 'self', connect-src
// 'self' and form-action 'self', and its style must leave what is hidden hidden.
// The button may as well be the application's own: <button type="button"
// data-mfa-passkey data-next="/orders" data-refused="..." hidden>, with an element
// data-mfa-said for the words. Whose Policy has no PasskeyAlone goes on to the page
// of the second step.
//
// A page with data-mfa-upgrade (of who is signed in, by a password just now) lets
// browsers that can do so make a passkey without asking, once in a tab: for users who
// have a second step, but no passkey. For others it would turn the second step on
// unasked, with backup codes that nobody sees.
//
// # JSON API
//
// The same calls, the same limits, other answers. Requests are POST with
// Content-Type application/json, unless it says GET. A program needs a cookie
// jar: the sign-in is tied to the cookie that came with its token. SignIn
// answers in JSON if the request accepts JSON and no HTML.
//
//	{Path}api/sign-in/offers          token
//	{Path}api/sign-in/challenge       token, kind, factor_id
//	{Path}api/sign-in/verify          token, kind, code or credential
//	{Path}api/sign-in/cancel          token
//	{Path}api/sign-in/enroll          token, kind, name, address    (status "enroll")
//	{Path}api/sign-in/confirm         token, kind, enrollment_id, code or credential
//	{Path}api/passkey                 {}; answers token, kind, options, expires
//	{Path}api/passkey/verify          token, kind, credential
//	{Path}api/step-up                 rule, as a problem named it
//	{Path}api/step-up/offers          also challenge, verify, cancel
//	{Path}api/settings                GET: what is set up
//	{Path}api/settings/enroll         kind, name, address, conditional
//	{Path}api/settings/confirm        kind, enrollment_id, code or credential
//	{Path}api/settings/codes          new backup codes
//	{Path}api/settings/rename         id, name
//	{Path}api/settings/remove         id
//	{Path}api/settings/remove-all
//
// What a browser's toJSON gives is the credential; what its parseCreationOptionsFromJSON
// and parseRequestOptionsFromJSON take is the options of a challenge. An enrolment
// that is conditional is for passkeys that the browser makes without asking, and is
// refused while nothing is set up.
//
// A challenge, also the one of an enrolment, says where a code went (hint), when
// another may be asked for (resend), and with sent false that this one could not
// be sent: it may be asked for again at once. Enrolling the same address again
// sends another code for the same enrolment or, before resend, none: earlier is
// true, and the code that is out stays good. Of the settings' factors, single is
// true if enrolling another replaces it, and stale if codes go to an address that
// is not the profile's any more.
//
// A sign-in or step-up answers with its status: [StatusComplete],
// [StatusSecondFactor] with a token and offers, or [StatusEnroll]. What goes
// wrong is a problem (RFC 9457) of one of the types [ProblemRejected] and
// following. [ProblemStepUp] says in step_up what is missing: POST its rule to
// api/step-up, verify, and repeat the request.
//
// Routes that programs sign in at, such as with an API key, call
// [Handler.SignInProgram]: service accounts that are exempt there pass, and a
// protected account gets a problem that says what to do. SignIn never honours
// an exemption.
//
// # Security considerations
//
// What changes something is a POST. Requests from other sites are refused
// ([http.CrossOriginProtection]), as are other content types and bodies over
// 64 KiB. The application's own forms, the one with the password among them,
// want the same protection: wrap the whole mux.
//
// Tokens, codes, credentials and secrets are in bodies and never in addresses. Answers are
// no-store, carry a strict Content-Security-Policy without inline script or
// style, and are not framed. The Referrer-Policy is same-origin, since with
// no-referrer browsers name no origin, and those without Sec-Fetch-Site could
// not be told from another site. "next" is a local path or it is ignored.
//
// The cookie __Host-mfa ties a sign-in to the browser that began it (130 random
// bits); __Host-mfa-step holds the token of the latest one. Both are Secure,
// HttpOnly, SameSite=Lax and gone with the browser. Chromium and Firefox keep them
// on http://localhost as well; for Safari there, and for plain http elsewhere,
// development has Options.AllowHTTP.
//
// StartSession is called at each completed sign-in, step-up and change, and
// must give the session a fresh identifier. A sign-in by a passkey is tied to the
// browser as any other; it is begun without a cookie, and then gets one. On a redirect after a form,
// form-action 'self' keeps browsers from following to another site, so
// Reauthenticate is only ever called on a GET.
//
// A [Handler] has no state: any number of them, in any number of processes, may
// share the work.
package mfahttp
