# crtool is killed at each system call of a dump that begins to track memory, or that makes an increment, or one of them fails: the
# target runs on, unharmed, and the next increment has all that was written to.
load ../zdtm/lib/zdtm
load ../zdtm/lib/chain
load lib/points

setup() {
	# most calls are those of any dump, which others look at
	fewer 5
}

@test "killed at any call, a tree whose memory is to be tracked runs on" {
	dump_with=(--track-mem)
	victim=(fault/family)
	points KILL
}

# increment N: one that has what the memory is, byte by byte; the tree stands meanwhile.
increment() {
	save "$1" dump -s --track-mem && same >"$dir/same" || echo "the increment $1 is not what is there: $(<"$dir/same")"
	go_on
}

# One point of an increment, and the next one, whose parent is that, if it is whole, or its parent.
one_increment() {
	local chain=$dir/chain last=''

	mkdir -p "$chain"
	! read -r last <"$dir/last" || true
	[ "$last" ] || increment 0
	interfere "$1" "$2" "${how[@]}" --no-sync -t "$pid" -D "$chain/$1" --prev-images-dir "../$last"
	[[ $2 = =* ]] || [[ $status =~ ^(0|137)$ ]] || echo "ends with $status"
	[[ $2 != =* || $status != 137 ]] || echo "hangs"
	settle
	within 20 unguarded
	(($1 % 2)) || [ ! -e "$chain/$1/manifest.img" ] || last=$1
	increment "$1.next"
	echo "$last" >"$dir/last"
}

# increments WHAT COMMAND [OPTION...]: every point of such an increment.
increments() {
	local calls how=("${@:2}") chain last

	disturb() {
		one_increment "$@"
	}
	fewer 4
	victim=(fault/writer)
	park "${victim[@]}"
	chain_new
	increment 0
	calls=$(count_calls "${how[@]}" --no-sync -t "$pid" -D "$chain/1" --prev-images-dir ../0)
	zdtm_teardown
	each_point "$calls" harm "$1" "${how[*]} of an increment of ${victim[*]}"
}

@test "killed at any call of a pre-dump, a program runs on, and the next increment has what was written to" {
	increments KILL pre-dump
}

@test "killed at any call of an increment, likewise" {
	increments KILL dump -R --track-mem
}

@test "killed at any call of an increment that is a snapshot, likewise" {
	increments KILL dump -R --track-mem --snapshot
}

@test "no memory, at any call of an increment, likewise" {
	increments '=ENOMEM' dump -R --track-mem
}
