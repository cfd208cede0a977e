load lib/zdtm

@test "private memory keeps its content, its untouched pages and its brk" { zdtm memory rw; }
@test "read-only memory keeps its content" { zdtm memory r; }
@test "memory without any access keeps what is in it" { zdtm memory none; }
@test "executable memory keeps its content" { zdtm memory rx; }
@test "memory that may only be executed keeps its content" { zdtm memory x; }
@test "one area with two protections stays one" { zdtm memory mixed; }
