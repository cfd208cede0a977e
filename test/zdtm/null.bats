load lib/zdtm

setup() {
	python3 -c 'import socket; socket.socket(44, socket.SOCK_RAW)' 2>/dev/null ||
		skip "this kernel has no AF_XDP"
}

# let_go HOW OPTION...: dump and restore, what is not carried is told.
let_go() {
	local to how=$1

	shift
	park null "$how"
	to=$(images)
	crtool dump -t "$pid" -D "$to" "$@" >"$dir/said" 2>&1
	grep -F "fd 4: socket:[" "$dir/said" | grep -q "not carried"
	grep -q "eventpoll.* watches fd 4 no more" "$dir/said"
	crtool restore -d -D "$to"
	release
}

@test "what no room owns is refused with the option that would let it go" {
	park null
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 4: socket:["*"] (AF_XDP socket): "*"--on-unknown-fd=null or =close lets it go" ]]
	running "$pid"
	run -4 crtool dump -t "$pid" -D "$(images)" --on-unknown-fd=refuse --on-unknown-fd=close
	run -4 crtool dump -t "$pid" -D "$(images)" --on-unknown-fd='close:anon_inode:*'
	run -4 crtool check -t "$pid" --on-unknown-fd='close:*packet*'
	run -0 crtool check -t "$pid" --on-unknown-fd='close:AF_XDP*'
	running "$pid"
	kill -KILL "$pid"
}

@test "--on-unknown-fd=null puts /dev/null in its place, by link" {
	let_go null --on-unknown-fd=close:nothing --on-unknown-fd='null:socket:*'
}

@test "--on-unknown-fd=close closes it, by description" {
	let_go close --on-unknown-fd='close:AF_XDP socket' --on-unknown-fd=null
}

@test "--on-unknown-fd takes three words" {
	run -2 crtool dump -t $$ --on-unknown-fd=zero
	[[ $output == *"--on-unknown-fd: 'zero': give refuse, null or close"* ]]
}
