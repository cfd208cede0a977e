/* A socket in repair mode. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

/* setsockopt(2) of an int. -errno. */
int tcp_option_set(int fd, int name, int value);

/* Before it is connected: the number of the first byte of QUEUE (TCP_SEND_QUEUE, TCP_RECV_QUEUE). -errno. */
int tcp_seq_set(int fd, int queue, uint32_t seq);

/* Room in its receive queue for whatever may be put there; sockopts_unwiden() takes it back. -errno. */
int tcp_receive_widen(int fd);

/* Put DATA into QUEUE. -errno. */
int tcp_queue_fill(int fd, int queue, const ProtobufCBinaryData *data);
