/*
 * count5: counts packets and bytes per two-way 5-tuple of a capture, with libpcap and nothing else.
 *
 * The yardstick of `npm run bench`: what a plain C program pays for the same walk. It decodes Ethernet with VLAN tags, IPv4,
 * IPv6 with its extension headers, and the ports of TCP and UDP; tunnels are counted by their outer addresses. Build:
 *   cc -O2 -o count5 count5.c -lpcap
 * Prints one line: packets, wire bytes, distinct 5-tuples, and packets that are not IP or cut before their ports.
 */
#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two ends in a fixed order, so that both directions fall together. IPv4 fills four bytes of an address, the rest is zero. */
struct key {
  uint8_t low[16], high[16];
  uint16_t low_port, high_port;
  uint8_t protocol, version;
  uint8_t zero[2];
};

struct entry {
  struct key key;
  uint64_t packets, bytes;
};

/* Open addressing, linear probing; an entry with no packets is free. The capacity is a power of two. */
struct table {
  struct entry *entries;
  size_t capacity, used;
};

static uint16_t be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

static uint64_t hash_key(const struct key *key) {
  uint64_t words[5], hash = 0;
  memcpy(words, key, sizeof words);
  for (int i = 0; i < 5; i++) {
    hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  return hash;
}

static struct entry *find(struct table *table, const struct key *key) {
  size_t mask = table->capacity - 1, i = hash_key(key) & mask;
  while (table->entries[i].packets && memcmp(&table->entries[i].key, key, sizeof *key)) i = (i + 1) & mask;
  return &table->entries[i];
}

static void allocate(struct table *table, size_t capacity) {
  table->entries = calloc(capacity, sizeof *table->entries);
  table->capacity = capacity;
  if (!table->entries) {
    fprintf(stderr, "count5: out of memory\n");
    exit(2);
  }
}

static void grow(struct table *table) {
  struct table old = *table;
  allocate(table, old.capacity * 2);
  for (size_t i = 0; i < old.capacity; i++)
    if (old.entries[i].packets) *find(table, &old.entries[i].key) = old.entries[i];
  free(old.entries);
}

static void add(struct table *table, const struct key *key, uint32_t bytes) {
  struct entry *entry = find(table, key);
  if (!entry->packets) {
    if (++table->used * 2 > table->capacity) {
      grow(table);
      entry = find(table, key);
    }
    entry->key = *key;
  }
  entry->packets++;
  entry->bytes += bytes;
}

/* Puts the lesser end first. */
static void set_ends(struct key *key, const uint8_t *source, const uint8_t *destination, size_t length, uint16_t sport,
                     uint16_t dport) {
  int order = memcmp(source, destination, length);
  if (order < 0 || (order == 0 && sport <= dport)) {
    memcpy(key->low, source, length);
    memcpy(key->high, destination, length);
    key->low_port = sport;
    key->high_port = dport;
  } else {
    memcpy(key->low, destination, length);
    memcpy(key->high, source, length);
    key->low_port = dport;
    key->high_port = sport;
  }
}

/* Fills the key; reports whether the packet held all of it. Later fragments count under their addresses, with ports 0. */
static int decode(const uint8_t *p, const uint8_t *end, struct key *key) {
  if (end - p < 14) return 0;
  uint16_t type = be16(p + 12);
  p += 14;
  while (type == 0x8100 || type == 0x88a8) {
    if (end - p < 4) return 0;
    type = be16(p + 2);
    p += 4;
  }
  memset(key, 0, sizeof *key);
  const uint8_t *source, *destination;
  size_t length;
  int later_fragment = 0;
  uint8_t protocol;
  if (type == 0x0800) {
    if (end - p < 20 || p[0] >> 4 != 4) return 0;
    int header = (p[0] & 15) * 4;
    if (header < 20 || end - p < header) return 0;
    source = p + 12, destination = p + 16, length = 4;
    later_fragment = (be16(p + 6) & 0x1fff) != 0;
    protocol = p[9];
    key->version = 4;
    p += header;
  } else if (type == 0x86dd) {
    if (end - p < 40 || p[0] >> 4 != 6) return 0;
    source = p + 8, destination = p + 24, length = 16;
    protocol = p[6];
    key->version = 6;
    p += 40;
    while (protocol == 0 || protocol == 43 || protocol == 44 || protocol == 60) {
      if (end - p < 8) return 0;
      int size = protocol == 44 ? 8 : (p[1] + 1) * 8;
      if (protocol == 44 && (be16(p + 2) & 0xfff8)) later_fragment = 1;
      protocol = p[0];
      if (end - p < size) return 0;
      p += size;
      if (later_fragment) break;
    }
  } else {
    return 0;
  }
  key->protocol = protocol;
  uint16_t sport = 0, dport = 0;
  if ((protocol == 6 || protocol == 17) && !later_fragment) {
    if (end - p < 4) return 0;
    sport = be16(p);
    dport = be16(p + 2);
  }
  set_ends(key, source, destination, length, sport, dport);
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: count5 FILE\n");
    return 2;
  }
  char error[PCAP_ERRBUF_SIZE];
  pcap_t *capture = pcap_open_offline(argv[1], error);
  if (!capture) {
    fprintf(stderr, "count5: %s\n", error);
    return 2;
  }
  if (pcap_datalink(capture) != DLT_EN10MB) {
    fprintf(stderr, "count5: not an Ethernet capture\n");
    return 2;
  }
  struct table table = {0};
  allocate(&table, 1 << 16);
  struct pcap_pkthdr *header;
  const u_char *data;
  uint64_t packets = 0, bytes = 0, other = 0;
  int status;
  while ((status = pcap_next_ex(capture, &header, &data)) == 1) {
    struct key key;
    packets++;
    bytes += header->len;
    if (decode(data, data + header->caplen, &key))
      add(&table, &key, header->len);
    else
      other++;
  }
  if (status == PCAP_ERROR) {
    fprintf(stderr, "count5: %s\n", pcap_geterr(capture));
    return 1;
  }
  printf("packets %" PRIu64 " bytes %" PRIu64 " tuples %zu other %" PRIu64 "\n", packets, bytes, table.used, other);
  free(table.entries);
  pcap_close(capture);
  return 0;
}
