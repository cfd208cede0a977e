# A restore gives nobody more than its caller has: callers by what a checkpoint asks
# for. Each caller has a checkpoint of what ran as he does; it is forged to ask for one thing more.
load ../zdtm/lib/zdtm

declare -gA as=(
	[root]=""
	[bare]="setpriv --inh-caps=-all --bounding-set=-all,+checkpoint_restore"
	[nnp]="setpriv --no-new-privs"
	[user]="setpriv --reuid=54321 --regid=54321 --clear-groups --inh-caps=-all"
	[userns]="unshare --user --map-root-user"
)

# prepare CALLER: his program, saved in $base; what belongs to others beside it.
prepare() {
	local victim=$BUILD/test/cli/privilege

	umask 0
	fresh_dir
	caller=$1
	cp "$victim" "$dir/program"
	echo text >"$dir/named"
	chmod 755 "$dir/program"
	# shellcheck disable=SC2206 # words
	inside=(prlimit --core=0:0 ${as[$caller]})
	[ "$caller" != userns ] || inside=(prlimit --core=0:0)
	start "$dir/program"
	within 20 parked_or_gone
	[ -e "$dir/parked" ] || explain "it did not park"
	inside=()
	base=$(images)
	crtool dump -t "$pid" -D "$base"
	within 5 gone "$pid"
	mkdir "$dir/locked"
	cp "$dir/named" "$dir/secret"
	cp "$dir/named" "$dir/locked/named"
	cp "$dir/program" "$dir/hidden"
	mknod "$dir/null" c 1 3
	chown 12345:12345 "$dir"/{locked,secret,hidden,null,locked/named}
	chmod 600 "$dir"/{secret,null}
	chmod 700 "$dir/locked"
	chmod 711 "$dir/hidden"
}

# attempt CHANGE...: restore the checkpoint with these changes, as the caller; $status, $output.
attempt() {
	local to

	to=$(images)
	rm -f "$dir"/{release,result}
	touch "$dir/parked"
	# shellcheck disable=SC2086 # words
	"$BUILD/test/tools/forge" "$base" "$to" $1
	[ "$caller" != user ] || chown -R 54321 "$to"
	# shellcheck disable=SC2086 # words
	run prlimit --core=0:0 ${as[$caller]} "$BUILD/crtool" restore --file-policy any -d -D "$to" --pidfile "$dir/pid" 3>&- 4>&-
	rm -r "$to"
}

# What the restored $new may is no more than what the caller may: capabilities count where he has them.
no_more() {
	local new=$1 have want

	[ "$caller" != nnp ] || grep -q '^NoNewPrivs:.1' "/proc/$new/status"
	if [ "$caller" = user ] || [ "$caller" = userns ]; then
		[ "$(readlink "/proc/$new/ns/user")" != "$(readlink /proc/self/ns/user)" ]
		return
	fi
	# shellcheck disable=SC2086 # words
	have=$(${as[$caller]} sed -n 's/^CapPrm:.//p' /proc/self/status)
	want=$(sed -n 's/^CapPrm:.//p' "/proc/$new/status")
	((!(0x$want & ~0x$have)))
}

# asks CHANGE... EXPECTED: "+", carried, or a pattern that the refusal fits.
asks() {
	local change=$1 expected=$2 new

	attempt "$change"
	echo "$caller $change: $status $output"
	if [ "$expected" = + ]; then
		[ "$status" = 0 ]
		new=$(cat "$dir/pid")
		no_more "$new"
		kill -KILL "$new"
		within 5 gone "$new"
		return
	fi
	[ "$status" = 5 ]
	# shellcheck disable=SC2053 # a pattern
	[[ ${lines[-1]} == *$expected* ]]
	[[ ${lines[-1]} == "crtool: error: "* ]]
	gone "$pid"
}

# Can root do what takes CAP_SYS_RESOURCE here?
resource() {
	(((0x$(sed -n 's/^CapEff:.//p' /proc/self/status) >> 24) & 1))
}

# Without the blanks around it.
trim() {
	sed 's/^ *//; s/ *$//' <<<"$1"
}

# matrix CALLER COLUMN: what the table says in the column. "?" is "+", where root has CAP_SYS_RESOURCE.
matrix() {
	local cells expected new column=$2

	prepare "$1"
	attempt fs.umask=0
	echo "$output"
	[ "$status" = 0 ]
	no_more "$(cat "$dir/pid")"
	[ "$1" = user ] || [ "$1" = userns ] || [ "$(cat "$dir/pid")" = "$pid" ]
	new=$pid pid=$(cat "$dir/pid")
	release
	pid=$new
	while IFS='|' read -ra cells; do
		cells=("${cells[@]//DIR/$dir}")
		expected=$(trim "${cells[column]}")
		if [ "$expected" = "?" ]; then
			expected=$(trim "${cells[2]}")
			! resource || expected=+
		fi
		asks "$(trim "${cells[0]}")" "$expected"
	done <<-'TABLE'
		creds.uids[2]=12345                       | + | cap_setuid          | runs as user 12345       | runs as user 12345
		creds.uids=12345                          | + | cap_setuid          | runs as user 12345       | runs as user 12345
		creds.gids=12345                          | + | cap_setgid          | and group 12345          | runs as group 12345
		creds.groups[0]=7                         | + | cap_setgid          | CAP_SETGID               | is in group 7
		creds.permitted+=0x2000                   | + | cap_                | had cap_net_raw          | +
		creds.permitted+=0x200000                 | + | cap_                | had cap_sys_admin        | +
		creds.inheritable=0x2000                  | + | cap_setpcap         | had cap_net_raw          | +
		creds.bounding=0x2000                     | + | cap_                | +                        | +
		creds.securebits=1                        | + | cap_setpcap         | +                        | +
		creds.dumpable=0                          | + | +                   | +                        | +
		limit.hard[4]=1000000                     | ? | CAP_SYS_RESOURCE    | CAP_SYS_RESOURCE         | CAP_SYS_RESOURCE
		sched.nice=-10                            | + | CAP_SYS_NICE        | CAP_SYS_NICE             | CAP_SYS_NICE
		sched.nice=5                              | + | +                   | +                        | +
		sched.policy=1 sched.priority=5           | + | CAP_SYS_NICE        | CAP_SYS_NICE             | CAP_SYS_NICE
		sched.policy=3                            | + | +                   | +                        | +
		sched.ioprio=0x2004                       | + | CAP_SYS_NICE        | CAP_SYS_NICE             | CAP_SYS_NICE
		process.oom_score_adj=-900                | ? | CAP_SYS_RESOURCE    | CAP_SYS_RESOURCE         | CAP_SYS_RESOURCE
		process.oom_score_adj=900                 | + | +                   | +                        | +
		prctl.io_flusher=1                        | ? | CAP_SYS_RESOURCE    | CAP_SYS_RESOURCE         | CAP_SYS_RESOURCE
		fs.cwd=DIR:DIR/locked                     | + | directory DIR/locked: Permission denied | directory DIR/locked: Permission denied | directory DIR/locked: Permission denied
		fs.root=/:DIR                             | + | CAP_SYS_CHROOT      | +                        | +
		regular.path=DIR/named:DIR/secret         | + | DIR/secret: Permission denied | DIR/secret: Permission denied | DIR/secret: Permission denied
		regular.path=DIR/named:DIR/locked/named   | + | DIR/locked/named: Permission denied | DIR/locked/named: Permission denied | DIR/locked/named: Permission denied
		regular.path=DIR/program:DIR/hidden       | + | DIR/hidden: Permission denied | DIR/hidden: Permission denied | DIR/hidden: Permission denied
		chardev.path=/dev/null:DIR/null           | + | DIR/null: Permission denied | DIR/null: Permission denied | DIR/null: Permission denied
		inode.path=DIR/gone:DIR/locked/gone       | + | DIR/locked/gone: make it again where it was: Permission denied | DIR/locked/gone: make it again where it was: Permission denied | DIR/locked/gone: make it again where it was: Permission denied
		inode.uid=12345                           | + | deleted file DIR/gone: give it to user 12345 and group | deleted file DIR/gone: give it to user 12345 and group | deleted file DIR/gone: give it to user 12345 and group
	TABLE
}

@test "root with all capabilities" { matrix root 1; }

@test "root with CAP_CHECKPOINT_RESTORE alone" { matrix bare 2; }

@test "an ordinary user" {
	setpriv --reuid=54321 --regid=54321 --clear-groups unshare -U true 2>/dev/null ||
		skip "users have no user namespaces here"
	matrix user 3
}

@test "root of a user namespace" {
	unshare -U true 2>/dev/null || skip "no user namespaces here"
	matrix userns 4
}

@test "with no_new_privs only what had it" {
	prepare nnp
	asks fs.umask=0 +
	asks creds.uids=12345 +
	asks creds.no_new_privs=0 "crtool runs with no_new_privs, which cannot be taken back"
	setpriv --reuid=54321 --regid=54321 --clear-groups unshare -U true 2>/dev/null || return 0
	prepare user
	as[user]+=" --no-new-privs"
	asks fs.umask=0 "crtool runs with no_new_privs, which cannot be taken back"
}

@test "from under a seccomp filter nobody comes back without one" {
	prepare root
	as[root]="$BUILD/test/cli/filtered"
	asks fs.umask=0 "would be under the seccomp filters that crtool itself is under here, and was not; restore it from outside of them"
}

@test "locked securebits stay locked" {
	prepare root
	as[root]="setpriv --securebits=+noroot,+noroot_locked --inh-caps=-all,+setpcap,+checkpoint_restore --ambient-caps=+setpcap,+checkpoint_restore"
	local rights="creds.permitted=0x10000000100 creds.effective=0x10000000100"

	asks "$rights" "securebits are 0, those of crtool are locked at 0x3"
	asks "$rights creds.securebits=3" +
}

# spoilt CALL N: a restore whose N-th call of that name fails for want of memory: what it says.
spoilt() {
	rm -f "$dir"/{release,result}
	run strace -qq -o /dev/null -e trace="$1" -e inject="$1:error=ENOMEM:when=$2" \
		"$BUILD/crtool" restore -d -D "$base" 3>&- 4>&-
	echo "$1 $2: $status $output"
}

@test "rights that cannot be read are not taken for missing ones" {
	local n told=0

	strace -V >/dev/null 2>&1 || skip "no strace"
	prepare root
	for n in capget:1 prctl:{1..9} prctl:1{0..9} prctl:{20..52..8} getgroups:1; do
		spoilt "${n%:*}" "${n#*:}"
		[[ $output != *"lacks here"* ]]
		if [ "$status" = 0 ]; then
			release
			continue
		fi
		[[ $output == *"Cannot allocate memory"* ]]
		gone "$pid"
		[[ $output != *"read what crtool itself may"* ]] || told=$((told + 1))
	done
	((told > 10))
}
