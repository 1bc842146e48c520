package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// queryTimeout leaves a request time to compare a password.
	queryTimeout = 3 * time.Second
	// maxConnections per pod, so that ten pods and, during a rollout, their ten
	// successors stay below PostgreSQL's default of a hundred.
	maxConnections = 4
	// pageSize keeps one answer at some ten kilobytes.
	pageSize = 100
	// migrationLock is the key under which pods take turns to migrate. No other
	// client of the database may use it.
	migrationLock = 7264_1207
)

// migrations bring an empty database to what this version needs, one after the
// other; the database counts them. Pods of the previous revision still run when
// one is applied, so it may add but not remove.
var migrations = []string{
	`CREATE TABLE users (
		id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		name          text NOT NULL,
		email         text NOT NULL UNIQUE,
		password_hash text NOT NULL
	)`,
}

// database is the store of a service with a DATABASE_URL.
type database struct {
	pool     *pgxpool.Pool
	migrated atomic.Bool
}

// openDatabase does not connect yet: without its database the service starts, but
// is not ready. Its error does not repeat the string, which usually has a password
// in it.
func openDatabase(url string) (*database, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("DATABASE_URL is not a PostgreSQL connection string, such as postgres://user:password@host:5432/database")
	}
	config.MaxConns = maxConnections
	config.ConnConfig.ConnectTimeout = queryTimeout
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	return &database{pool: pool}, nil
}

func (d *database) close() { d.pool.Close() }

// migrate tries until it succeeds or ctx is done.
func (d *database) migrate(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	logged := ""
	for {
		err := d.tryMigrate(ctx)
		if err == nil {
			d.migrated.Store(true)
			log.Info("the database is ready", "migrations", len(migrations))
			return
		}
		if err.Error() != logged {
			logged = err.Error()
			log.Error("the database is not ready", "cause", logged)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tryMigrate applies the missing migrations, all or none, while no other pod
// does.
func (d *database) tryMigrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", migrationLock); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY)"); err != nil {
			return err
		}
		var done int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM migrations").Scan(&done); err != nil {
			return err
		}
		for number := done; number < len(migrations); number++ {
			if _, err := tx.Exec(ctx, migrations[number]); err != nil {
				return fmt.Errorf("migration %d: %w", number+1, err)
			}
			if _, err := tx.Exec(ctx, "INSERT INTO migrations VALUES ($1)", number+1); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *database) check(ctx context.Context) error {
	if !d.migrated.Load() {
		return errors.New("the database is not migrated yet")
	}
	// All connections are busy with requests, and a ping would wait behind them. A pod that is
	// unready for its load would leave it to the others.
	if s := d.pool.Stat(); s.AcquiredConns() == s.MaxConns() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return d.pool.Ping(ctx)
}

func (d *database) list(ctx context.Context, after string) (page []user, next string, err error) {
	last := int64(0)
	if after != "" {
		if last, err = parseID(after); err != nil {
			return nil, "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	// One more than a page shows whether there is another.
	rows, err := d.pool.Query(ctx, "SELECT id::text, name, email FROM users WHERE id > $1 ORDER BY users.id LIMIT $2", last, pageSize+1)
	if err != nil {
		return nil, "", err
	}
	page, err = pgx.CollectRows(rows, pgx.RowToStructByPos[user])
	if err == nil && len(page) > pageSize {
		page = page[:pageSize]
		next = page[pageSize-1].ID
	}
	return page, next, err
}

func (d *database) find(ctx context.Context, id string) (user, error) {
	number, err := parseID(id)
	if err != nil {
		return user{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	u := user{ID: id}
	err = d.pool.QueryRow(ctx, "SELECT name, email FROM users WHERE id = $1", number).Scan(&u.Name, &u.Email)
	return u, storeError(err)
}

func (d *database) account(ctx context.Context, email string) (account, error) {
	if strings.ContainsRune(email, 0) { // PostgreSQL's type text does not allow it
		return account{}, errNoSuchUser
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	a := account{user: user{Email: email}}
	err := d.pool.QueryRow(ctx, "SELECT id::text, name, password_hash FROM users WHERE email = $1", email).
		Scan(&a.ID, &a.Name, &a.PasswordHash)
	return a, storeError(err)
}

func (d *database) create(ctx context.Context, a account) (user, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	err := d.pool.QueryRow(ctx, "INSERT INTO users (name, email, password_hash) VALUES ($1, $2, $3) RETURNING id::text",
		a.Name, a.Email, a.PasswordHash).Scan(&a.ID)
	const uniqueViolation = "23505"
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == uniqueViolation {
		return user{}, errEmailTaken
	}
	return a.user, err
}

// parseID accepts an id only as the database writes it.
func parseID(id string) (int64, error) {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil || strconv.FormatInt(number, 10) != id {
		return 0, errNoSuchUser
	}
	return number, nil
}

// storeError turns an error of pgx into one of the store's.
func storeError(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errNoSuchUser
	}
	return err
}
