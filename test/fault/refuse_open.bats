# What a program has open or mapped and this version does not carry: refused by name.
load ../zdtm/lib/zdtm
load lib/refuse

# odd NAME MESSAGE: a program that has NAME is refused with MESSAGE, and still has it afterwards.
odd() {
	fresh_dir
	start "$BUILD/test/fault/odd" "$1"
	within 20 parked_or_gone
	[ -e "$dir/parked" ] || skip "this kernel has no $1"
	refused 4 "task $pid (odd): $2"
	release
}

# A descriptor of an anonymous inode that /proc calls $2.
anonymous() {
	odd "$1" "fd 3: anon_inode:$2 (anonymous inode): not supported by this version*"
}

mapped() {
	odd "$1" "mapping *-* ($2): $3"
}

@test "a packet socket of the old type is refused" {
	odd socket-packet "fd 3: socket:[[]*] (packet socket): is of the obsolete type SOCK_PACKET: not supported by this version*"
}

@test "an io_uring that counts completions in an eventfd is refused by who may not look into the kernel" {
	crtool() { blind_crtool "$@"; }
	odd io_uring "fd 3: anon_inode:[[]io_uring]: an eventfd is registered with it*: not supported; *"
}
@test "a userfaultfd is refused" { anonymous userfaultfd "[[]userfaultfd]"; }
@test "a performance counter is refused" { anonymous perf "[[]perf_event]"; }
@test "a Landlock ruleset is refused" { anonymous landlock "[[]landlock-ruleset]"; }
@test "a file system context is refused" { anonymous fsopen "[[]fscontext]"; }
@test "a seccomp listener is refused" { anonymous seccomp-notify "seccomp notify"; }

@test "secret memory is refused" {
	mapped memfd_secret "/secretmem (deleted)" "secret memory (memfd_secret) can be read by the program alone"
}

@test "a mapped io_uring is refused" {
	mapped io_uring-mapping "anon_inode:[[]io_uring]" "no descriptor of it is open: not supported"
}

@test "a mapped performance counter is refused" {
	mapped perf-mapping "anon_inode:[[]perf_event]" "performance events are not supported"
}
