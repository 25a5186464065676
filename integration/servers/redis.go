package servers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// redisServer is Redis: one process, or as many as the cluster has nodes.
type redisServer struct{ nodes int }

// slots are the parts of a cluster's key space.
const slots = 16384

func (r redisServer) prepare(s *Server) error {
	server, err := find("redis-server", "redis-server", "valkey-server")
	if err != nil {
		return err
	}
	for i := range max(1, r.nodes) {
		data := filepath.Join(s.folder, fmt.Sprintf("node-%d", i))
		if err := s.disk(data, nil, ""); err != nil {
			return err
		}
		n, err := s.newNode(data)
		if err != nil {
			return err
		}
		n.path = server
		n.args = []string{
			"--bind", "127.0.0.1", "--port", strconv.Itoa(n.port), "--dir", data,
			"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction",
		}
		if r.nodes == 0 {
			continue
		}
		if n.bus, err = newPort(); err != nil {
			return err
		}
		n.args = append(n.args, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(n.bus), "--cluster-node-timeout", "2000")
	}
	return nil
}

// redisAdmin returns a client that tries once.
func redisAdmin(n *node) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: n.addr, MaxRetries: -1, PoolSize: 1, ContextTimeoutEnabled: true})
}

func (redisServer) ready(ctx context.Context, n *node) error {
	c := redisAdmin(n)
	defer c.Close()
	return c.Ping(ctx).Err()
}

// each runs do at every node.
func (s *Server) each(do func(i int, n *node, c *redis.Client) error) error {
	for i, n := range s.nodes {
		c := redisAdmin(n)
		err := do(i, n, c)
		c.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// furnish makes a cluster of the nodes: each has its third of the slots.
func (r redisServer) furnish(ctx context.Context, s *Server) error {
	if r.nodes == 0 {
		return nil
	}
	return s.each(func(i int, n *node, c *redis.Client) error {
		_, public, _ := strings.Cut(n.public, ":")
		if err := c.ConfigSet(ctx, "cluster-announce-port", public).Err(); err != nil {
			return err
		}
		n.args = append(n.args, "--cluster-announce-port", public) // for the next start
		if err := c.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			return err
		}
		if err := c.ClusterAddSlotsRange(ctx, slots*i/r.nodes, slots*(i+1)/r.nodes-1).Err(); err != nil {
			return err
		}
		if i == 0 {
			return nil
		}
		first := s.nodes[0]
		_, port, _ := strings.Cut(first.public, ":")
		return c.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", port, first.bus).Err()
	})
}

// settled: every node sees every other, and all slots are served.
func (r redisServer) settled(ctx context.Context, s *Server) error {
	if r.nodes == 0 {
		return nil
	}
	return s.each(func(i int, _ *node, c *redis.Client) error {
		info, err := c.ClusterInfo(ctx).Result()
		if err != nil {
			return err
		}
		for _, want := range []string{"cluster_state:ok", "cluster_slots_ok:" + strconv.Itoa(slots), "cluster_known_nodes:" + strconv.Itoa(r.nodes)} {
			if !strings.Contains(info, want+"\r\n") {
				return fmt.Errorf("node %d is not at %s:\n%s", i, want, info)
			}
		}
		nodes, err := c.ClusterNodes(ctx).Result()
		if err != nil {
			return err
		}
		for _, n := range s.nodes {
			if !strings.Contains(nodes, n.public+"@") {
				return fmt.Errorf("node %d does not know %s:\n%s", i, n.public, nodes)
			}
		}
		return nil
	})
}

// forbid is what a server does that has lost the replica it must have.
func (redisServer) forbid(ctx context.Context, s *Server, on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	return s.config(ctx, "min-replicas-to-write", value)
}

// config sets one setting at every node.
func (s *Server) config(ctx context.Context, name, value string) error {
	return s.each(func(_ int, _ *node, c *redis.Client) error { return c.ConfigSet(ctx, name, value).Err() })
}

func (redisServer) signals() (orderly, quick os.Signal) { return syscall.SIGTERM, os.Kill }
