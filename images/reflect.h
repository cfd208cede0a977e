/*
 * The fields of a message by its descriptor (protobuf-c's layout), so that
 * checks and printing know no kind.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

/* How many values FIELD has in MSG (0: not set), and where the first lies; the others follow. */
size_t field_values(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field,
                    const void **ret_first);

/* Bytes from one value of this type to the next. */
size_t field_stride(ProtobufCType type);

/*
 * The first field that the descriptor of MSG, or of a message within it, does
 * not know: its number and the name of that message. NULL: none.
 */
const char *message_unknown(const ProtobufCMessage *msg, uint32_t *ret_number);
