#include "images/reflect.h"

static const void *member(const ProtobufCMessage *msg, size_t offset)
{
	return (const char *)msg + offset;
}

size_t field_stride(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM:
		return 4;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	default:
		return 8;
	}
}

size_t field_values(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field,
                    const void **ret_first)
{
	const void *at = member(msg, field->offset);
	const void *quantifier = member(msg, field->quantifier_offset);

	*ret_first = at;
	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		*ret_first = *(const void *const *)at;
		return *(const size_t *)quantifier;
	}
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)quantifier == field->id;
	if (field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING)
		return *(const void *const *)at != NULL;
	if (field->label == PROTOBUF_C_LABEL_OPTIONAL)
		return *(const protobuf_c_boolean *)quantifier != 0;
	return 1;
}

const char *message_unknown(const ProtobufCMessage *msg, uint32_t *ret_number)
{
	const ProtobufCMessageDescriptor *desc = msg->descriptor;

	if (msg->n_unknown_fields) {
		*ret_number = msg->unknown_fields[0].tag;
		return desc->short_name;
	}
	for (unsigned i = 0; i < desc->n_fields; i++) {
		const void *values;
		size_t n;

		if (desc->fields[i].type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		n = field_values(msg, &desc->fields[i], &values);
		for (size_t k = 0; k < n; k++) {
			const char *name =
				message_unknown(((ProtobufCMessage *const *)values)[k], ret_number);

			if (name)
				return name;
		}
	}
	return NULL;
}
