load lib/apps
load lib/load

# Whole servers while their clients, who are not in the tree, keep asking: nobody sees more than a pause.

setup_file() {
	! command -v javac >/dev/null || javac -d "$BATS_FILE_TMPDIR" "$PROGRAMS/Server.java"
}

# carried KIND PORT NUMBER: the server that was just started, with so many clients.
carried() {
	within 20 listens "$2" || explain "it does not listen"
	clients "$@"
	rounds 2
	rounds_running 2
	clients_end
}

ended() {
	kill "$pid"
	finish 20
}

teardown() {
	local one

	[ ${#everybody[@]} = 0 ] || kill -KILL "${everybody[@]}" 2>/dev/null || true
	zdtm_teardown
	netns_gone
	[ ! -e "$BATS_TEST_TMPDIR/made" ] || rmdir /run/sshd
}

@test "redis with a hundred clients and a running benchmark" {
	needs redis-server redis-benchmark
	load_inside
	start redis-server --port 6379 --bind 10.9.0.1 --save '' --protected-mode no --loglevel warning
	within 20 listens 6379
	start_client benchmark redis-benchmark -h 10.9.0.1 -l -q -c 10 -t set,get
	benchmark=$client
	carried redis 6379 100
	alive "$benchmark" || explain "the benchmark has ended: $(cat "$dir/benchmark.err")"
	kill "$benchmark"
	[ ! -s "$dir/benchmark.err" ] || explain "the benchmark complains: $(cat "$dir/benchmark.err")"
	ended
}

@test "memcached with its threads and fifty clients" {
	needs memcached
	load_inside
	start memcached -u nobody -l 10.9.0.1 -p 11211 -t 4
	carried memcached 11211 50
	ended
}

@test "nginx with two workers, wrk and clients that keep their connections" {
	needs nginx wrk
	load_inside
	mkdir "$dir/www"
	chmod 755 "$dir" "$dir/www"
	echo hello >"$dir/www/index.html"
	cat >"$dir/nginx.conf" <<-END
		daemon off; worker_processes 2; pid $dir/nginx.pid; error_log stderr;
		events { }
		http {
			access_log off; keepalive_requests 1000000;
			client_body_temp_path $dir/a; proxy_temp_path $dir/b; fastcgi_temp_path $dir/c;
			uwsgi_temp_path $dir/d; scgi_temp_path $dir/e;
			server { listen 10.9.0.1:80; root $dir/www; }
		}
	END
	start nginx -e stderr -c "$dir/nginx.conf"
	within 20 listens 80
	start_client wrk wrk -d 1000 -t 1 -c 20 --timeout 20 http://10.9.0.1/index.html
	wrk=$client
	carried http 80 20
	kill -INT "$wrk"
	wait "$wrk"
	grep -q 'requests in' "$dir/wrk.out"
	! grep -E 'Socket errors|Non-2xx' "$dir/wrk.out" || explain "wrk complains: $(cat "$dir/wrk.out")"
	ended
}

@test "node: an http server" {
	needs node
	load_inside
	start node -e 'require("http").createServer((q, a) => a.end("hello\n")).listen(8000, "10.9.0.1")'
	carried http 8000 20
	ended
}

@test "java: an http server with a pool of threads" {
	needs java javac
	load_inside
	dump_with+=(--file-contents) # its file in /tmp/hsperfdata_root goes when another one starts
	restore_with=(--file-policy rollback)
	start java -Xmx128m -Dsun.net.httpserver.nodelay=true -cp "$BATS_FILE_TMPDIR" Server 10.9.0.1 8000
	carried http 8000 20
	ended
}

# It refuses to be root.
as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

@test "postgres in the middle of twenty transactions" {
	PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
	needs initdb postgres psql
	load_inside
	as_nobody env HOME="$dir" initdb -D "$dir/data" --no-sync -A trust -U me >/dev/null
	echo 'host all all 10.9.0.0/24 trust' >>"$dir/data/pg_hba.conf"
	start setpriv --reuid=65534 --regid=65534 --clear-groups postgres -D "$dir/data" -k '' \
		-h 10.9.0.1 -c shared_memory_type=mmap -c dynamic_shared_memory_type=mmap -c fsync=off
	within 20 in_client psql -qAtX -h 10.9.0.1 -U me postgres -c 'create table t(i int)' 2>/dev/null
	carried postgres 5432 20
	[ "$(in_client psql -qAtX -h 10.9.0.1 -U me postgres -c 'select count(*) % 10 from t')" ]
	kill -INT "$pid"
	finish 20
	grep -q 'database system is shut down' "$dir/err"
}

# what is said so far: $1 is part of it.
session_says() {
	grep -qF "$1" "$dir/session.out"
}

@test "sshd with an interactive session" {
	needs sshd ssh ssh-keygen
	load_inside
	if [ ! -e /run/sshd ]; then
		touch "$BATS_TEST_TMPDIR/made"
		mkdir /run/sshd
	fi
	ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/user"
	cat >"$dir/sshd_config" <<-END
		ListenAddress 10.9.0.1
		HostKey $dir/host
		AuthorizedKeysFile $dir/user.pub
		PidFile none
		StrictModes no
		PermitRootLogin yes
		ForceCommand cd $dir && PS1= exec bash --norc --noprofile -i
	END
	start "$(command -v sshd)" -D -e -f "$dir/sshd_config"
	within 20 listens 22
	mkfifo "$dir/keys"
	exec {keys}<>"$dir/keys"
	start_client session ssh -F none -tt -i "$dir/user" -o BatchMode=yes -o LogLevel=ERROR \
		-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "$(id -un)@10.9.0.1" <&"$keys"
	echo 'stty -echo; n=7' >&"$keys"
	for n in 1 2; do
		echo "echo round-$n-\$((n += 1))-\$(tty)-" >&"$keys"
		within 20 session_says "round-$n-$((n + 7))-/dev/pts/" || explain "no answer: $(cat "$dir"/session.*)"
		mapfile -t everybody < <(family)
		dump "${dump_with[@]}"
		within 20 all_gone "${everybody[@]}" || explain "somebody is left"
		crtool restore -d -D "$to"
	done
	echo 'echo end-$((n *= 2)); exit 3' >&"$keys"
	status=0
	wait "$client" || status=$?
	[ "$status" = 3 ] || explain "the session ended with $status: $(cat "$dir"/session.*)"
	session_says end-18
	netns_unlocked
	kill "$pid"
	within 20 gone_or_zombie
}
