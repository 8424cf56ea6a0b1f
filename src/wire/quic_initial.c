/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initial packets of QUIC clients: quic_initial.h.
 *
 * Every loop takes at least one byte of its input per turn. A packet is opened into a buffer of its own; nothing is changed
 * in the datagram.
 */
#include "wire/quic_initial.h"

#include <errno.h>

#include "base/rd.h"
#include "base/wr.h"

enum {
	HEADER_LONG = 0x80,
	TYPE_RETRY = 3, /* in the numbers of version 1 */
	TYPE_INITIAL = 0,
	HEAD_MIN = 7, /* bytes of a long header that the versions have in common: RFC 8999 5.1 */
	CID_MIN = 8,  /* RFC 9000 7.2: of the first Initial */
	SAMPLE_OFF = 4,
	TAG_SIZE = 16,
	LABEL_MAX = 64,
	HASH_SIZE = 32,

	FRAME_PADDING = 0,
	FRAME_PING = 1,
	FRAME_ACK = 2,
	FRAME_ACK_ECN = 3,
	FRAME_CRYPTO = 6,
	FRAME_CONNECTION_CLOSE = 0x1c,
};

#define VERSION_1 0x00000001U
#define VERSION_2 0x6b3343cfU /* RFC 9369 3.1 */

static const uint8_t salt_1[20] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a,
    0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
static const uint8_t salt_2[20] = {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81,
    0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9};

/* A packet with a long header, up to its packet number. */
struct long_packet {
	uint32_t version;
	uint8_t type; /* in the numbers of version 1 */
	const uint8_t *cid;
	uint8_t cid_len;
	const uint8_t *start; /* of the packet */
	size_t number_off;    /* of the packet number */
	size_t len;           /* of the whole packet; the datagram may go on behind it */
};

/* ---- keys ---- */

/* RFC 8446 7.1, with an empty context; len is at most HASH_SIZE. */
static int expand_label(const struct quic_crypto *c, const uint8_t secret[HASH_SIZE],
    const char *label, uint8_t *ret_out, size_t len)
{
	uint8_t info[LABEL_MAX];
	uint8_t mac[HASH_SIZE];
	struct wr w = wr_init(info, sizeof(info));
	int err;

	wr_be16(&w, (uint16_t)len);
	wr_u8(&w, (uint8_t)(6 + strlen(label)));
	wr_copy(&w, "tls13 ", 6);
	wr_copy(&w, label, strlen(label));
	wr_u8(&w, 0);
	wr_u8(&w, 1); /* RFC 5869 2.3: the number of the only block */
	err = c->hmac_sha256(secret, HASH_SIZE, info, wr_len(&w), mac);
	if (!err)
		memcpy(ret_out, mac, len);
	return err;
}

int quic_client_keys(const struct quic_crypto *c, uint32_t version, const uint8_t *cid,
    size_t cid_len, struct quic_keys *ret_keys)
{
	bool is_2 = version == VERSION_2;
	uint8_t initial[HASH_SIZE];
	uint8_t client[HASH_SIZE];
	struct quic_keys keys;
	int err;

	err = c->hmac_sha256(is_2 ? salt_2 : salt_1, sizeof(salt_1), cid, cid_len, initial);
	if (!err)
		err = expand_label(c, initial, "client in", client, sizeof(client));
	if (!err)
		err = expand_label(
		    c, client, is_2 ? "quicv2 key" : "quic key", keys.key, sizeof(keys.key));
	if (!err)
		err = expand_label(
		    c, client, is_2 ? "quicv2 iv" : "quic iv", keys.iv, sizeof(keys.iv));
	if (!err)
		err = expand_label(
		    c, client, is_2 ? "quicv2 hp" : "quic hp", keys.hp, sizeof(keys.hp));
	if (!err)
		*ret_keys = keys;
	return err;
}

/* ---- packets ---- */

/* RFC 9000 16 */
static uint64_t read_varint(struct rd *r)
{
	uint8_t first = rd_u8(r);
	uint64_t value = first & 0x3f;

	for (uint32_t more = (1U << (first >> 6)) - 1; more > 0; more--)
		value = value << 8 | rd_u8(r);
	return value;
}

/* Reads the next packet of a datagram; r is left behind it. False: what follows is none with a long header of
 * a known version, and nothing can be known of what is behind it. */
static bool read_long(struct rd *r, struct long_packet *ret_packet)
{
	struct long_packet p = {.start = r->pos};
	struct rd begin = *r;
	uint8_t first = rd_u8(r);
	uint8_t scid_len;
	uint64_t len;

	p.version = rd_be32(r);
	p.cid_len = rd_u8(r);
	p.cid = rd_bytes(r, p.cid_len);
	scid_len = rd_u8(r);
	rd_skip(r, scid_len);
	if (!rd_ok(r) || (first & HEADER_LONG) == 0)
		return false;
	*ret_packet = p;
	if (p.version != VERSION_1 && p.version != VERSION_2)
		return false;
	/* RFC 9369 3.2: version 2 counts the types from another one on. */
	p.type = (uint8_t)((first >> 4) & 3);
	if (p.version == VERSION_2)
		p.type = (uint8_t)((p.type + 3) & 3);
	/* The bit that says QUIC is not asked for: RFC 9287 lets it be random. */
	if (p.cid_len > QUIC_CID_MAX || scid_len > QUIC_CID_MAX || p.type == TYPE_RETRY)
		return false;
	if (p.type == TYPE_INITIAL) {
		uint64_t token_len = read_varint(r);

		rd_skip(r, token_len < SIZE_MAX ? (size_t)token_len : SIZE_MAX);
	}
	len = read_varint(r);
	p.number_off = (size_t)(r->pos - p.start);
	if (!rd_ok(r) || len > rd_left(r))
		return false;
	rd_skip(r, (size_t)len);
	p.len = (size_t)(r->pos - begin.pos);
	*ret_packet = p;
	return true;
}

/* RFC 9000 A.3; expected is one more than the largest number so far. */
static uint64_t full_number(uint64_t expected, uint32_t truncated, uint32_t bits)
{
	uint64_t window = 1ULL << bits;
	uint64_t candidate = (expected & ~(window - 1)) | truncated;

	if (candidate + window / 2 <= expected && candidate < (1ULL << 62) - window)
		return candidate + window;
	if (candidate > expected + window / 2 && candidate >= window)
		return candidate - window;
	return candidate;
}

/* Removes the protection (RFC 9001 5.3, 5.4). Returns the length of what is at out, or -EBADMSG: it is not
 * authentic. */
static int open_packet(const struct quic_crypto *c, const struct quic_keys *keys,
    const struct long_packet *p, uint64_t expected, uint8_t *out, uint64_t *ret_number)
{
	uint8_t head[QUIC_DATAGRAM_MAX];
	const uint8_t *number = p->start + p->number_off;
	uint8_t mask[16];
	uint8_t nonce[sizeof(keys->iv)];
	uint32_t truncated = 0;
	uint32_t number_len;
	size_t head_len;
	uint64_t full;

	if (p->len - p->number_off < SAMPLE_OFF + TAG_SIZE)
		return -EBADMSG;
	if (c->aes128_block(keys->hp, number + SAMPLE_OFF, mask))
		return -EBADMSG;
	memcpy(head, p->start, p->number_off + SAMPLE_OFF);
	head[0] ^= mask[0] & 0x0f;
	number_len = (head[0] & 3U) + 1;
	for (uint32_t i = 0; i < number_len; i++) {
		head[p->number_off + i] ^= mask[i + 1];
		truncated = truncated << 8 | head[p->number_off + i];
	}
	head_len = p->number_off + number_len;
	full = full_number(expected, truncated, number_len * 8);
	memcpy(nonce, keys->iv, sizeof(nonce));
	for (uint32_t i = 0; i < 8; i++)
		nonce[sizeof(nonce) - 1 - i] ^= (uint8_t)(full >> (8 * i));
	if (c->aes128_gcm_open(keys->key,
		&(struct quic_sealed){.nonce = nonce,
		    .aad = head,
		    .aad_len = head_len,
		    .bytes = p->start + head_len,
		    .len = p->len - head_len},
		out))
		return -EBADMSG;
	*ret_number = full;
	return (int)(p->len - head_len - TAG_SIZE);
}

/* ---- frames ---- */

static bool has_byte(const struct quic_initial *q, uint32_t at)
{
	return q->whole > 0 ? at < q->whole : (q->have[at / 8] >> (at % 8) & 1) != 0;
}

/* Bytes of the message at an offset. False: they contradict what has come, or are too far. */
static bool take_crypto(struct quic_initial *q, uint64_t off, const uint8_t *bytes, uint64_t len)
{
	if (off > QUIC_HELLO_MAX || len > QUIC_HELLO_MAX - off)
		return false;
	for (uint32_t i = 0; i < len; i++) {
		uint32_t at = (uint32_t)off + i;

		if (has_byte(q, at)) {
			if (q->message[at] != bytes[i])
				return false;
		} else if (q->whole == 0) {
			q->message[at] = bytes[i];
			q->have[at / 8] |= (uint8_t)(1 << at % 8);
		}
	}
	if (off + len > q->end)
		q->end = (uint32_t)(off + len);
	return true;
}

static bool skip_ack(struct rd *r, bool has_ecn)
{
	uint64_t ranges;

	(void)read_varint(r); /* largest */
	(void)read_varint(r); /* delay */
	ranges = read_varint(r);
	(void)read_varint(r); /* first range */
	for (; ranges > 0 && rd_ok(r); ranges--) {
		(void)read_varint(r);
		(void)read_varint(r);
	}
	for (int i = 0; i < 3 && has_ecn; i++)
		(void)read_varint(r);
	return rd_ok(r);
}

static bool skip_close(struct rd *r)
{
	uint64_t len;

	(void)read_varint(r); /* error */
	(void)read_varint(r); /* type of the frame that caused it */
	len = read_varint(r);
	if (len > rd_left(r))
		return false;
	rd_skip(r, (size_t)len);
	return rd_ok(r);
}

static bool read_crypto(struct rd *r, struct quic_initial *q)
{
	uint64_t off = read_varint(r);
	uint64_t len = read_varint(r);
	const uint8_t *bytes;

	if (!rd_ok(r) || len > rd_left(r))
		return false;
	bytes = rd_bytes(r, (size_t)len);
	return bytes && take_crypto(q, off, bytes, len);
}

/* RFC 9000 17.2.2: the frames that an Initial packet may have. */
static bool read_frames(struct rd r, struct quic_initial *q)
{
	if (rd_left(&r) == 0)
		return false;
	while (rd_left(&r) > 0) {
		bool is_right = true;
		uint8_t type = rd_u8(&r);

		switch (type) {
		case FRAME_PADDING:
		case FRAME_PING:
			break;
		case FRAME_ACK:
		case FRAME_ACK_ECN:
			is_right = skip_ack(&r, type == FRAME_ACK_ECN);
			break;
		case FRAME_CRYPTO:
			is_right = read_crypto(&r, q);
			break;
		case FRAME_CONNECTION_CLOSE:
			is_right = skip_close(&r);
			break;
		default:
			is_right = false;
			break;
		}
		if (!is_right)
			return false;
	}
	return true;
}

/* ---- the message ---- */

/* The length of the message in *ret_len once its head is there, at most QUIC_HELLO_MAX. */
static enum hello_result read_message_head(const struct quic_initial *q, uint32_t *ret_len)
{
	for (uint32_t i = 0; i < 4; i++)
		if (!has_byte(q, i))
			return HELLO_MORE;
	if (q->message[0] != 1)
		return HELLO_BAD;
	*ret_len =
	    ((uint32_t)q->message[1] << 16 | (uint32_t)q->message[2] << 8 | q->message[3]) + 4;
	return *ret_len > QUIC_HELLO_MAX ? HELLO_BAD : HELLO_NAME;
}

static enum hello_result read_message(struct quic_initial *q, struct tls_hello *ret_hello)
{
	uint32_t len = q->whole;
	enum hello_result result = len > 0 ? HELLO_NAME : read_message_head(q, &len);

	if (result != HELLO_NAME)
		return result;
	if (len > q->end)
		return HELLO_MORE;
	for (uint32_t i = 0; i < len && q->whole == 0; i++)
		if (!has_byte(q, i))
			return HELLO_MORE;
	q->whole = len;
	return tls_hello_read(q->message, len, ret_hello);
}

static bool is_of(const struct quic_initial *q, const struct long_packet *p)
{
	return p->version == q->version && p->cid_len == q->cid_len &&
	       memcmp(p->cid, q->cid, p->cid_len) == 0;
}

/* An Initial packet with the id that the client has chosen, or the first of all. HELLO_MORE or HELLO_BAD. */
static enum hello_result read_own(struct quic_initial *q, const struct quic_crypto *c,
    const struct long_packet *p, bool is_discarded)
{
	uint8_t plain[QUIC_DATAGRAM_MAX];
	uint64_t number = 0;
	int len = open_packet(c, &q->keys, p, q->has_packet ? q->largest + 1 : 0, plain, &number);

	if (len < 0 || is_discarded)
		return HELLO_BAD;
	if (!q->has_packet || number > q->largest)
		q->largest = number;
	q->has_packet = true;
	return read_frames(rd_init(plain, (size_t)len), q) ? HELLO_MORE : HELLO_BAD;
}

/* One with another id. If that is the server's choice, its keys are still the old ones and it is of no interest: what
 * the server has of the first flight by then has been read. If it is the client's, another connection begins. */
static enum hello_result read_other(const struct quic_crypto *c, const struct long_packet *p)
{
	uint8_t plain[QUIC_DATAGRAM_MAX];
	struct quic_keys keys;
	uint64_t number;

	if (quic_client_keys(c, p->version, p->cid, p->cid_len, &keys))
		return HELLO_BAD;
	return open_packet(c, &keys, p, 0, plain, &number) < 0 ? HELLO_MORE : HELLO_OTHER;
}

static enum hello_result read_initial(struct quic_initial *q, const struct quic_crypto *c,
    const struct long_packet *p, size_t datagram_len)
{
	bool is_discarded = datagram_len < QUIC_DATAGRAM_MIN || p->cid_len < CID_MIN;

	if (q->version != 0)
		return is_of(q, p) ? read_own(q, c, p, is_discarded) : read_other(c, p);
	if (quic_client_keys(c, p->version, p->cid, p->cid_len, &q->keys))
		return HELLO_BAD;
	q->version = p->version;
	q->cid_len = p->cid_len;
	memcpy(q->cid, p->cid, p->cid_len);
	return read_own(q, c, p, is_discarded);
}

enum hello_result quic_initial_read(struct quic_initial *q, const struct quic_crypto *c,
    const uint8_t *datagram, size_t len, struct tls_hello *ret_hello)
{
	struct rd r = rd_init(datagram, len);
	struct long_packet p = {0};

	if (q->version == 0 && (!quic_is_long(datagram, len) || len < HEAD_MIN))
		return HELLO_NOT_TLS;
	if (len > QUIC_DATAGRAM_MAX)
		return HELLO_BAD;
	while (rd_left(&r) > 0 && read_long(&r, &p)) {
		enum hello_result result =
		    p.type == TYPE_INITIAL ? read_initial(q, c, &p, len) : HELLO_MORE;

		if (result != HELLO_MORE)
			return result;
	}
	if (p.cid && p.version != VERSION_1 && p.version != VERSION_2)
		return HELLO_NO_NAME;
	return read_message(q, ret_hello);
}
