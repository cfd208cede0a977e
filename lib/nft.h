/*
 * Messages to nftables, as one batch: all of it is done, or nothing.
 *
 *	auto_(nft_done) struct nft_batch b = {};
 *	nft_mark(&b, NFNL_MSG_BATCH_BEGIN);
 *	at = nft_begin(&b, NFT_MSG_DELTABLE, 0);
 *	nft_text(&b, NFTA_TABLE_NAME, name);
 *	nft_end(&b, at);
 *	nft_mark(&b, NFNL_MSG_BATCH_END);
 *	r = nft_send(&b, nl);
 *
 * Errors while writing (no memory) are kept, and come out of nft_send().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct nft_batch {
	char *v;
	size_t n, cap;
	uint32_t seq;
	int error;
};

void nft_done(struct nft_batch *b);

/* A message of family inet; of the batch itself. */
size_t nft_begin(struct nft_batch *b, uint16_t type, uint16_t flags);
void nft_end(struct nft_batch *b, size_t at);
void nft_mark(struct nft_batch *b, uint16_t type);

/* Attributes. */
void nft_put(struct nft_batch *b, uint16_t type, const void *data, size_t size);
void nft_text(struct nft_batch *b, uint16_t type, const char *text);
void nft_u32(struct nft_batch *b, uint16_t type, uint32_t value);
size_t nft_nest(struct nft_batch *b, uint16_t type);
void nft_nest_end(struct nft_batch *b, size_t at);

/* A socket for them. -errno. */
int nft_open(void);
/* 0, or what the kernel says. */
int nft_send(struct nft_batch *b, int nl);
