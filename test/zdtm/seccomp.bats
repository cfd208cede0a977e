load lib/zdtm

@test "threads with one chain of filters share it again" { zdtm seccomp shared; }

@test "a thread keeps a filter of its own" { zdtm seccomp own; }

@test "a thread in strict mode stays there" { zdtm seccomp_strict; }

@test "a filter that asks a supervisor is refused by name" {
	park seccomp notify
	run -4 crtool dump -t "$pid" -D "$(images)" --on-unknown-fd null
	[[ $output == *"task $pid (seccomp): thread $pid: a seccomp filter that asks a supervisor (SECCOMP_RET_USER_NOTIF) cannot be saved" ]]
	running "$pid"
	release
}
