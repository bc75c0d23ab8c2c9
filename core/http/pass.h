/* SPDX-License-Identifier: MIT */
/**
 * What the loops of one client know of each other, and how a request goes to the loop that has a
 * free connection for it. Connections stay where they are (a ring's streams cannot move), so the
 * request moves: once, before anything was done for it but counting its deadlines.
 *
 * Each loop says how many more requests its open connections could take, by bucket of the pool. The
 * numbers are hints: two origins may share a bucket, and what was free may be taken when the
 * request arrives. Then it is served there like any other.
 */
#ifndef AD_HTTP_PASS_H
#define AD_HTTP_PASS_H

#include "http/pool.h"

#include <stdatomic.h>

struct aioduct_client;

/* Written by the loop's thread alone but for `inbox`; read by all. */
struct ad_pass {
    _Atomic unsigned room[AD_POOL_BUCKETS];
    _Atomic unsigned live;  /* exchanges on this loop */
    _Atomic unsigned inbox; /* and those on their way to it */
};

/* ---- loop thread ---- */

/* The loop has @count more exchanges, or fewer. */
void ad_pass_live(struct ad_pass *pass, int count);
/* What open connections of one origin could take was @before and is @after. */
void ad_pass_room(struct ad_pass *pass, uint64_t hash, unsigned before, unsigned after);
/* Before a dial for @ex, which waits in the pool of its loop: hand it to a loop that has room.
 * False: nothing happened; true: it is gone. */
bool ad_pass_on(struct ad_engine *from, struct aioduct_exchange *ex);

/* ---- any thread ---- */

/* Which loop is a request best given to, whose thread has none? */
struct ad_engine *ad_pass_choose(struct aioduct_client *client, uint64_t hash);
/* An exchange is on its way to it, and has arrived. */
void ad_pass_expect(struct ad_pass *pass);
void ad_pass_arrived(struct ad_pass *pass);

#endif
