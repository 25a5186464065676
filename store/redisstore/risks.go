package redisstore

// What the servers' settings could do to records.

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// A Risk is a setting of a server by which acknowledged records can be lost.
type Risk struct {
	Server  string // its address
	Setting string // as in redis.conf, or of INFO
	Value   string
	Why     string // what can happen
}

// String says it in one sentence.
func (r Risk) String() string {
	return fmt.Sprintf("redis %s: %s is %s: %s", r.Server, r.Setting, r.Value, r.Why)
}

// Risks asks every primary for its settings and returns those that can lose
// records, none if all is as the package documentation advises and there are no
// replicas: a primary that has some is always named. An application calls it when
// it starts, and warns. [store.ErrUnavailable] if a server does not
// tell, as those of some providers do not.
func (s *Store) Risks(ctx context.Context) ([]Risk, error) {
	if err := ctx.Err(); err != nil {
		return nil, failed(ctx, "settings", err)
	}
	var risks []Risk
	var err error
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		var mu sync.Mutex // the primaries are asked side by side
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, server *redis.Client) error {
			found, err := risksOf(ctx, server, server.Options().Addr)
			mu.Lock()
			defer mu.Unlock()
			risks = append(risks, found...)
			return err
		})
	} else {
		address := ""
		if c, ok := s.client.(*redis.Client); ok {
			address = c.Options().Addr
		}
		risks, err = risksOf(ctx, s.client, address)
	}
	if err != nil {
		return nil, failed(ctx, "settings", err)
	}
	return risks, nil
}

// risksOf judges one server.
func risksOf(ctx context.Context, server redis.Cmdable, address string) ([]Risk, error) {
	replication, err := server.Info(ctx, "replication").Result()
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for line := range strings.Lines(replication) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			values[name] = value
		}
	}
	for _, setting := range []string{"appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"} {
		found, err := server.ConfigGet(ctx, setting).Result()
		if err != nil {
			return nil, err
		}
		value, ok := found[setting]
		if !ok {
			return nil, fmt.Errorf("no setting %s", setting)
		}
		values[setting] = value
	}
	var risks []Risk
	judge := func(setting string, good bool, why string) {
		if !good {
			risks = append(risks, Risk{Server: address, Setting: setting, Value: values[setting], Why: why})
		}
	}
	judge("role", values["role"] == "master", "a replica shows what was, and takes no saves")
	policy := values["maxmemory-policy"]
	judge("maxmemory-policy", policy == "noeviction" || strings.HasPrefix(policy, "volatile-"), // no record expires
		"a full server deletes records, and their users have nothing set up")
	judge("appendonly", values["appendonly"] == "yes", "a restart forgets what no snapshot holds")
	if values["appendonly"] == "yes" {
		judge("appendfsync", values["appendfsync"] == "always", "a crash forgets the last saves, and codes that were used pass again")
		judge("no-appendfsync-on-rewrite", values["no-appendfsync-on-rewrite"] == "no", "a crash during a rewrite forgets the last saves")
	}
	judge("connected_slaves", values["connected_slaves"] == "0",
		"a failover forgets the saves that no replica had, and codes that were used pass again")
	return risks, nil
}
