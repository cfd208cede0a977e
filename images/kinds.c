/*
 * The table of record kinds. protoc-c calls the descriptor of a message in
 * lower case with underscores (SkUnix: img__sk_unix__descriptor), which is the
 * name of the room: a line of kinds.def without its message does not link, a
 * number used twice does not compile (-Woverride-init).
 */
#include "images/images.h"

#include <assert.h>

#define RECORD(num, name)  extern const ProtobufCMessageDescriptor img__##name##__descriptor;
#define FD_KIND(num, name) RECORD(num, name)
#define ASPECT(num, name)  RECORD(num, name)
#include "images/kinds.def"
#undef RECORD

static const struct kind {
	const char *name;
	enum kind_family family;
	const ProtobufCMessageDescriptor *descriptor;
} kinds[] = {
#undef FD_KIND
#undef ASPECT
#define KIND(num, name, family) [num] = { #name, family, &img__##name##__descriptor },
#define RECORD(num, name)       KIND(num, name, FAMILY_RECORD)
#define FD_KIND(num, name)      KIND(num, name, FAMILY_FD)
#define ASPECT(num, name)       KIND(num, name, FAMILY_ASPECT)
#include "images/kinds.def"
};

static_assert(ARRAY_SIZE(kinds) <= KIND_LIMIT, "a kind beyond KIND_LIMIT");

const ProtobufCMessageDescriptor *kind_descriptor(uint32_t kind)
{
	return kind < ARRAY_SIZE(kinds) ? kinds[kind].descriptor : NULL;
}

const char *kind_name(uint32_t kind)
{
	return kind < ARRAY_SIZE(kinds) ? kinds[kind].name : NULL;
}

enum kind_family kind_family(uint32_t kind)
{
	return kind < ARRAY_SIZE(kinds) ? kinds[kind].family : FAMILY_NONE;
}
