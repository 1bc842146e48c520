package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func loginRequest(body string) *http.Request {
	r := httptest.NewRequest("POST", "/login", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func loginBody(email, password string) string {
	return fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
}

func TestLoginReturnsTheUser(t *testing.T) {
	s, _ := newTestService(t)
	want := `{"id":"1","name":"Ada Lovelace","email":"ada@example.com"}` + "\n"
	for _, email := range []string{"ada@example.com", "Ada@Example.COM"} {
		response := ask(s.handler(), loginRequest(loginBody(email, demoPassword)))
		if body := bodyOf(t, response); response.StatusCode != http.StatusOK || body != want {
			t.Errorf("%s: got  %d %s\nwant 200 %s", email, response.StatusCode, body, want)
		}
	}
}

func TestEveryDemoUserCanLogIn(t *testing.T) {
	s, _ := newTestService(t)
	for _, u := range s.users.(*directory).users {
		if got, err := s.verify(t.Context(), credentials{u.Email, demoPassword}); err != nil || got != u {
			t.Errorf("%s: got %+v, %v", u.Email, got, err)
		}
	}
}

func TestLoginAnswersAWrongPasswordLikeAnUnknownUser(t *testing.T) {
	s, _ := newTestService(t)
	var answers []string
	for _, body := range []string{
		loginBody("ada@example.com", "wrong"),
		loginBody("unknown@example.com", "wrong"),
		loginBody("unknown@example.com", demoPassword),
	} {
		response := ask(s.handler(), loginRequest(body))
		answers = append(answers, fmt.Sprint(response.StatusCode, response.Header, bodyOf(t, response)))
	}
	if answers[0] != answers[1] || answers[1] != answers[2] {
		t.Errorf("the answers differ: %q", answers)
	}
	if want := `{"error":"wrong e-mail or password"}`; !strings.HasPrefix(answers[0], "401 ") || !strings.Contains(answers[0], want) {
		t.Errorf("got %s, want 401 %s", answers[0], want)
	}
}

func TestAnUnknownUserCostsAsMuchAsAKnownOne(t *testing.T) {
	s, _ := newTestService(t)
	decoy, err := bcrypt.Cost([]byte(decoyHash))
	if err != nil {
		t.Fatal(err)
	}
	for email, a := range s.users.(*directory).byEmail {
		if cost, err := bcrypt.Cost([]byte(a.PasswordHash)); err != nil || cost != decoy {
			t.Errorf("%s: got cost %d, %v, want the decoy's %d", email, cost, err, decoy)
		}
	}
}

func TestLoginExplainsWhatIsWrongWithTheBody(t *testing.T) {
	s, _ := newTestService(t)
	valid := loginBody("ada@example.com", demoPassword)
	tests := map[string]struct {
		body    string
		message string
	}{
		"nothing":          {"", "body is not valid JSON"},
		"not JSON":         {"email=ada", "body is not valid JSON"},
		"cut off":          {valid[:20], "body is not valid JSON"},
		"a list":           {"[]", "body must be a JSON object"},
		"a string":         {`"ada"`, "body must be a JSON object"},
		"null":             {"null", "email is missing"},
		"unknown field":    {`{"email":"a","password":"b","admin":true}`, `unknown field "admin": only email and password are allowed`},
		"number as email":  {`{"email":1,"password":"b"}`, "email must be a string"},
		"list as password": {`{"email":"a","password":["b"]}`, "password must be a string"},
		"no email":         {`{"password":"b"}`, "email is missing"},
		"empty password":   {`{"email":"a","password":""}`, "password is missing"},
		"second object":    {valid + valid, "body must be one JSON object and nothing after it"},
		"trailing garbage": {valid + "x", "body must be one JSON object and nothing after it"},
		"trailing bracket": {valid + "]", "body must be one JSON object and nothing after it"},
		"73 bytes":         {loginBody("ada@example.com", strings.Repeat("x", 73)), "password must have at most 72 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wantError(t, ask(s.handler(), loginRequest(test.body)), http.StatusBadRequest, test.message)
		})
	}
}

func TestLoginAcceptsWhitespaceAroundTheBody(t *testing.T) {
	want := credentials{Email: "ada@example.com", Password: "x"}
	got, err := decodeJSON[credentials]([]byte("\n "+loginBody(want.Email, want.Password)+" \n"), "")
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestAll72BytesOfAPasswordAreCompared(t *testing.T) {
	password := strings.Repeat("x", maxPasswordBytes)
	hash, err := bcrypt.GenerateFromPassword([]byte(password), hashCost)
	if err != nil {
		t.Fatal(err)
	}
	users, err := loadDirectory(fmt.Appendf(nil, `[{"id":"1","email":"a@example.com","passwordHash":%q}]`, hash))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newTestService(t)
	s.users = users
	if _, err := s.verify(t.Context(), credentials{"a@example.com", password}); err != nil {
		t.Errorf("the right password: got %v", err)
	}
	if _, err := s.verify(t.Context(), credentials{"a@example.com", password[1:] + "y"}); err != errWrongCredentials {
		t.Errorf("another last byte: got %v, want %v", err, errWrongCredentials)
	}
}

func TestLoginAcceptsOnlyJSON(t *testing.T) {
	s, _ := newTestService(t)
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json-patch+json", "application/json;="} {
		r := loginRequest(loginBody("ada@example.com", demoPassword))
		r.Header.Set("Content-Type", contentType)
		wantError(t, ask(s.handler(), r), http.StatusUnsupportedMediaType, "Content-Type must be application/json")
	}
	r := loginRequest(loginBody("ada@example.com", demoPassword))
	r.Header.Set("Content-Type", "Application/JSON; charset=utf-8")
	if got := ask(s.handler(), r).StatusCode; got != http.StatusOK {
		t.Errorf("JSON with a charset: got %d, want 200", got)
	}
}

func TestLoginRejectsALargeBodyAndClosesTheConnection(t *testing.T) {
	s, _ := newTestService(t)
	fits := loginBody("ada@example.com", demoPassword)
	fits += strings.Repeat(" ", maxBodyBytes-len(fits))
	if got := ask(s.handler(), loginRequest(fits)).StatusCode; got != http.StatusOK {
		t.Errorf("a body of %d bytes: got %d, want 200", len(fits), got)
	}
	response := ask(s.handler(), loginRequest(fits+" "))
	if got := response.Header.Get("Connection"); got != "close" {
		t.Errorf("got Connection %q, want close", got)
	}
	wantError(t, response, http.StatusRequestEntityTooLarge, "body must have at most 4096 bytes")
}

func TestLoginGivesUpOnABodyThatDoesNotArrive(t *testing.T) {
	conn := connect(t, 50*time.Millisecond)
	io.WriteString(conn, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, response, http.StatusRequestTimeout, "body did not arrive in time")
}

// A proxy has opened the connection for another request, which has found another one.
func TestLoginWaitsForABodyOnAConnectionThatWasOpenedEarly(t *testing.T) {
	t.Parallel()
	conn := connect(t, 1200*time.Millisecond)
	body := loginBody("ada@example.com", demoPassword)
	for _, part := range []string{fmt.Sprintf("POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body)), body} {
		<-time.After(800 * time.Millisecond) // each less than the timeout, and both more
		io.WriteString(conn, part)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Errorf("got %s, want 200", response.Status)
	}
}

// connect opens a connection to a service whose server has a ReadTimeout.
func connect(t *testing.T, readTimeout time.Duration) net.Conn {
	t.Helper()
	s, _ := newTestService(t)
	server := httptest.NewUnstartedServer(s.handler())
	server.Config.ReadTimeout = readTimeout
	server.Start()
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestLoginReportsThatItIsTooBusy(t *testing.T) {
	s, _ := newTestService(t)
	s.verifier = newVerifier(1)
	s.verifier.wait = time.Millisecond
	s.verifier.slots <- struct{}{}
	response := ask(s.handler(), loginRequest(loginBody("ada@example.com", demoPassword)))
	if got := response.Header.Get("Retry-After"); got != "1" {
		t.Errorf("got Retry-After %q, want 1", got)
	}
	wantError(t, response, http.StatusServiceUnavailable, "too many logins at once")

	<-s.verifier.slots
	s.verifier.wait = loginWait
	if got := ask(s.handler(), loginRequest(loginBody("ada@example.com", demoPassword))).StatusCode; got != http.StatusOK {
		t.Errorf("with a free slot: got %d, want 200", got)
	}
}

func TestNoPasswordIsLogged(t *testing.T) {
	s, log := newTestService(t)
	const wrong = "a-wrong-password"
	for _, body := range []string{
		loginBody("ada@example.com", demoPassword),
		loginBody("ada@example.com", wrong),
		`{"password":"` + wrong,
	} {
		r := loginRequest(body)
		r.URL.RawQuery = "password=" + wrong
		ask(s.handler(), r)
	}
	if got := strings.Count(log.String(), `"msg":"request"`); got != 3 {
		t.Errorf("got %d requests logged, want 3:\n%s", got, log)
	}
	for _, secret := range []string{demoPassword, wrong, "$2a$"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q was logged:\n%s", secret, log)
		}
	}
}

func FuzzDecodeLogin(f *testing.F) {
	for _, seed := range []string{
		loginBody("ada@example.com", demoPassword),
		loginBody("a", strings.Repeat("é", 36)),
		loginBody("a", strings.Repeat("é", 37)),
		`{"EMAIL":"a","Password":"b"}`, `{"email":"a","email":"b","password":"\u0000"}`,
		"", "null", "[]", "{}", "{}{}", `{"email":`, "\xff", `{"email":"\ud800","password":"\xff"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := decodeJSON[credentials](body, "")
		if err != nil {
			if c != (credentials{}) {
				t.Fatalf("%q: credentials come with the error %v", body, err)
			}
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeJSON[credentials](again, ""); err != nil || got != c {
			t.Fatalf("%q: encoded and decoded again it is %+v, %v, was %+v", body, got, err, c)
		}
	})
}
