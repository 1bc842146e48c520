package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"user-service/sandbox/internal/cluster"
)

// TestUsersInPostgreSQL runs the service on a real database: ten pods start at once on
// an empty one.
func TestUsersInPostgreSQL(t *testing.T) {
	s := newParallelStory(t, "postgres")
	db := newPostgres(t, "db-s3same")
	s.set(t, map[string]string{"replicas": "10"})
	s.setSecretEnv(t, map[string]string{"DATABASE_URL": db.url()})
	t.Logf("ten pods and one empty database: %.1f s", s.up(t).Seconds())
	pods := s.podAddresses(t)
	if len(pods) != 10 {
		t.Fatalf("the pods' addresses are %v, want ten", pods)
	}

	emails, rejected := createUsers(t, pods, 0, 50)
	if rejected > 0 {
		t.Errorf("%d of 50 users were not created", rejected)
	}
	checkUsers(t, pods, emails)
	for i, address := range pods {
		if status, body := post(t, address, "/login", fmt.Sprintf(`{"email":%q,"password":"open-sesame"}`, emails[i])); status != http.StatusOK {
			t.Errorf("pod %s: login as %s: %d %s", address, emails[i], status, body)
		}
		if status, body := post(t, address, "/users", newUser(emails[i])); status != http.StatusConflict {
			t.Errorf("pod %s: %s again: %d %s, want 409", address, emails[i], status, body)
		}
	}
	t.Logf("%d users created through ten pods, each pod returns all of them", len(emails))

	// The database crashes while the pods create users.
	var more []string
	var working sync.WaitGroup
	working.Go(func() { more, rejected = createUsers(t, pods, 50, 200) })
	db.crash(t)
	s.waitForReadyPods(t, 0)
	db.start(t)
	s.waitForReadyPods(t, 10)
	working.Wait()
	checkUsers(t, pods, append(emails, more...))
	for _, pod := range s.pods(t) {
		if restarts(pod) > 0 {
			t.Errorf("pod %s was restarted %d times because of the database", pod.Name, restarts(pod))
		}
	}
	t.Logf("while the database crashed and started again: %d of 150 new users created, %d rejected, none lost", len(more), rejected)
}

// podAddresses are those of the ready pods, which the node reaches directly.
func (s story) podAddresses(t *testing.T) []string {
	t.Helper()
	return strings.Fields(s.kubectl(t, "get", "pods", "--selector=app=user-service", "--output=jsonpath={.items[*].status.podIP}"))
}

// waitForReadyPods waits until a number of pods are ready.
func (s story) waitForReadyPods(t *testing.T, count int) {
	t.Helper()
	_, took, err := s.waitForPods(t.Context(), podDeadline, func(pods []corev1.Pod) bool { return len(readyPods(pods)) == count })
	if err != nil {
		t.Fatalf("%d ready pods: %v", count, err)
	}
	t.Logf("%d pods are ready after %.1f s", count, took.Seconds())
}

func newUser(email string) string {
	return fmt.Sprintf(`{"name":"Jean Bartik","email":%q,"password":"open-sesame"}`, email)
}

// createUsers creates the users with the numbers from first to last, through one pod
// after the other, two at a time. It returns the addresses of those that were created
// and the number of the others.
func createUsers(t *testing.T, pods []string, first, last int) (created []string, rejected int) {
	var mu sync.Mutex
	var workers sync.WaitGroup
	numbers := make(chan int)
	for range 2 {
		workers.Go(func() {
			for i := range numbers {
				email := fmt.Sprintf("jean-%d@example.com", i)
				status, _ := post(t, pods[i%len(pods)], "/users", newUser(email))
				mu.Lock()
				if status == http.StatusCreated {
					created = append(created, email)
				} else {
					rejected++
				}
				mu.Unlock()
			}
		})
	}
	for i := first; i < last; i++ {
		numbers <- i
	}
	close(numbers)
	workers.Wait()
	return created, rejected
}

// checkUsers checks that each pod lists all users, page by page.
func checkUsers(t *testing.T, pods, emails []string) {
	t.Helper()
	for _, address := range pods {
		seen := map[string]bool{}
		for after := ""; ; {
			response, err := client.Get("http://" + address + ":8080/users?after=" + url.QueryEscape(after))
			if err != nil {
				t.Fatal(err)
			}
			var page struct {
				Users []struct{ Email string }
				Next  string
			}
			err = json.NewDecoder(response.Body).Decode(&page)
			response.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range page.Users {
				seen[u.Email] = true
			}
			if after = page.Next; after == "" {
				break
			}
		}
		missing := 0
		for _, email := range emails {
			if !seen[email] {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("pod %s lists %d users, and not %d of the %d that were created", address, len(seen), missing, len(emails))
		}
	}
}

var client = &http.Client{Timeout: 10 * time.Second}

// post posts JSON to a pod; status 0 means no answer.
func post(t *testing.T, address, path, body string) (status int, answer string) {
	response, err := client.Post("http://"+address+":8080"+path, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(content)
}

// postgres is a PostgreSQL server on the sandbox's bridge, where pods reach it.
type postgres struct {
	programs, folder, address, password string

	owner  *syscall.Credential
	server *exec.Cmd
}

// newPostgres starts a server with an empty database. It is stopped after the test.
func newPostgres(t *testing.T, password string) *postgres {
	t.Helper()
	// Not t.TempDir: only root can read what is in there.
	folder, err := os.MkdirTemp("", "postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	db := &postgres{programs: postgresPrograms(t), folder: folder, address: freeAddress(t, cluster.BridgeAddress), password: password}
	// PostgreSQL does not run as root.
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	db.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(folder, uid, gid); err != nil {
		t.Fatal(err)
	}
	passwordFile := filepath.Join(folder, "password")
	if err := os.WriteFile(passwordFile, []byte(password), 0o644); err != nil {
		t.Fatal(err)
	}
	initdb := db.command("initdb", "--pgdata="+filepath.Join(folder, "data"), "--username=users", "--auth=scram-sha-256", "--pwfile="+passwordFile)
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	// Pods connect from the bridge's network.
	hba, err := os.OpenFile(filepath.Join(folder, "data", "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hba.WriteString("host all all " + cluster.PodSubnet + " scram-sha-256\n"); err != nil {
		t.Fatal(err)
	}
	if err := hba.Close(); err != nil {
		t.Fatal(err)
	}
	db.start(t)
	t.Cleanup(func() { db.crash(t) })
	return db
}

// url is the connection string.
func (db *postgres) url() string {
	return fmt.Sprintf("postgres://users:%s@%s/postgres?sslmode=disable", db.password, db.address)
}

func (db *postgres) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(db.programs, program), args...)
	cmd.Dir = db.folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: db.owner}
	return cmd
}

// start starts the server and waits until it accepts connections.
func (db *postgres) start(t *testing.T) {
	t.Helper()
	host, port, _ := strings.Cut(db.address, ":")
	db.server = db.command("postgres", "-D", filepath.Join(db.folder, "data"), "-h", host, "-p", port, "-k", db.folder)
	log, err := os.OpenFile(filepath.Join(db.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	db.server.Stdout, db.server.Stderr = log, log
	if err := db.server.Start(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		out, err := db.command("pg_isready", "-h", host, "-p", port).CombinedOutput()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("PostgreSQL does not accept connections: %s", out)
		}
	}
}

// crash ends the server at once, without a checkpoint.
func (db *postgres) crash(t *testing.T) {
	t.Helper()
	if err := db.server.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := db.server.Wait(); err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
}

// installing serializes the installation.
var installing sync.Mutex

// postgresPrograms is the folder of Debian's PostgreSQL. It installs the package if it
// is missing, without the server that Debian would start.
func postgresPrograms(t *testing.T) string {
	t.Helper()
	installing.Lock()
	defer installing.Unlock()
	find := func() string {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
		if len(found) == 0 {
			return ""
		}
		return filepath.Dir(found[len(found)-1])
	}
	if find() == "" {
		const install = "apt-get install -q -y --no-install-recommends "
		out, err := exec.CommandContext(t.Context(), "sh", "-ec", "export DEBIAN_FRONTEND=noninteractive\napt-get update -q\n"+
			install+"postgresql-common\n"+
			"sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf\n"+
			install+"postgresql").CombinedOutput()
		if err != nil {
			t.Fatalf("install PostgreSQL: %v\n%s", err, out)
		}
	}
	return find()
}
