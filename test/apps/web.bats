load lib/apps

# Servers with workers that were forked before. Ports differ from run to run.
setup() {
	port=$((30000 + $$ % 10000))
}

# What a client gets from PORT.
fetch() {
	exec {connection}<>"/dev/tcp/127.0.0.1/$1"
	printf 'GET /index.html HTTP/1.0\r\n\r\n' >&"$connection"
	tail -n 1 <&"$connection"
	exec {connection}>&-
}

# serves PORT...: each of them, four times, so that several workers have their turn.
serves() {
	local to n

	for to; do
		for n in 1 2 3 4; do
			[ "$(fetch "$to" 2>/dev/null)" = hello ] || return 1
		done
	done
}

all_gone() {
	local one

	for one in $family; do
		gone "$one" || return 1
	done
}

# carried PORT...: twice; children fall to init when they are killed, which reaps them in its time.
carried() {
	local way

	for way in 1 2; do
		family="$pid $(cat "/proc/$pid/task/$pid/children")"
		dump
		within 20 all_gone
		crtool restore -d -D "$to"
		within 10 serves "$@"
		[ "$(cat "/proc/$pid/task/$pid/children")" ]
	done
	kill -TERM "$pid"
	finish 20
}

@test "nginx with two workers" {
	needs nginx
	fresh_dir
	chmod 755 "$dir"
	echo hello >"$dir/index.html"
	cat >"$dir/nginx.conf" <<-END
		daemon off; worker_processes 2; pid $dir/nginx.pid; error_log stderr;
		events { accept_mutex on; }
		http {
			access_log off;
			client_body_temp_path $dir/a; proxy_temp_path $dir/b; fastcgi_temp_path $dir/c;
			uwsgi_temp_path $dir/d; scgi_temp_path $dir/e;
			server { listen 127.0.0.1:$port; root $dir; }
		}
	END
	start nginx -e stderr -c "$dir/nginx.conf"
	within 20 serves "$port"
	carried "$port"
}

# With two listeners a worker holds a SysV semaphore while it waits, to be given back (SEM_UNDO) if it dies.
@test "apache2 with prefork workers and a SysV semaphore between them" {
	needs apache2
	fresh_dir
	chmod 755 "$dir"
	echo hello >"$dir/index.html"
	cat >"$dir/httpd.conf" <<-END
		LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
		LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
		ServerRoot $dir
		ServerName localhost
		DocumentRoot $dir
		PidFile $dir/httpd.pid
		ErrorLog $dir/log
		User nobody
		Group nogroup
		Mutex sysvsem
		StartServers 3
		Listen 127.0.0.1:$port
		Listen 127.0.0.1:$((port + 1))
	END
	start apache2 -f "$dir/httpd.conf" -DFOREGROUND
	within 20 serves "$port" "$((port + 1))"
	carried "$port" "$((port + 1))"
}
