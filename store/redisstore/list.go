package redisstore

// Listing users, for key rotation and administration.

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/seed-f4994bf1/mfa/store"
)

// UserIDs implements [store.Lister]. The order is that of the buckets, and in
// one that of the bytes. limit is at least 1; a page holds at most 1000 users.
func (s *Store) UserIDs(ctx context.Context, cursor string, limit int) (ids []string, next string, err error) {
	if limit < 1 {
		return nil, "", fmt.Errorf("%w: a page of %d users", store.ErrArgument, limit)
	}
	if err := ctx.Err(); err != nil {
		return nil, "", failed(ctx, "list", err)
	}
	limit = min(limit, maxPage)
	bucket, above := 0, "-"
	if cursor != "" {
		bucket, above = bucketOf(cursor), "("+cursor
	}
	// One bucket fills a page where there are many users; where there are few,
	// more and more are asked in one round trip.
	for width := 1; bucket < buckets && len(ids) <= limit; width = min(2*width, 64) {
		width := min(width, buckets-bucket)
		pages := make([]*redis.StringSliceCmd, width)
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range pages {
				pages[i] = p.ZRangeByLex(ctx, s.bucket(bucket+i)+"u", &redis.ZRangeBy{Min: above, Max: "+", Count: int64(limit + 1 - len(ids))})
				above = "-"
			}
			return nil
		})
		if err != nil {
			return nil, "", failed(ctx, "list", err)
		}
		for _, page := range pages {
			ids = append(ids, page.Val()...)
		}
		bucket += width
	}
	if len(ids) > limit { // one more tells whether there is a next page
		ids = ids[:limit]
		next = ids[limit-1]
	}
	return ids, next, nil
}

// maxPage bounds what UserIDs reads at once, whatever the caller's limit.
const maxPage = 1000
