load lib/apps

# watches N: so many are set by now.
watches() {
	[ "$(cat "/proc/$pid/fdinfo/"* 2>/dev/null | grep -c '^inotify wd')" -ge "$1" ]
}

# said LINE: it has said so.
said() {
	grep -qxF -- "$1" "$dir/out"
}

@test "inotifywait: the watches of a whole tree, and new ones after a restore" {
	needs inotifywait
	fresh_dir
	mkdir -p "$dir/tree/a/b" "$dir/tree/c"
	start inotifywait -mrq -e create,moved_to,delete --format '%e %w%f' tree
	within 20 watches 4
	: >"$dir/tree/a/before"
	within 20 said "CREATE tree/a/before"
	busy=''
	dump_and_restore_thrice
	: >"$dir/tree/a/b/after"
	mv "$dir/tree/a/b/after" "$dir/tree/c/moved"
	mkdir "$dir/tree/c/new"
	within 20 said "MOVED_TO tree/c/moved"
	within 20 watches 5
	: >"$dir/tree/c/new/file"
	within 20 said "CREATE tree/c/new/file"
	[ "$(sort "$dir/out")" = "$(sort <<-'END'
		CREATE tree/a/before
		CREATE tree/a/b/after
		MOVED_TO tree/c/moved
		CREATE,ISDIR tree/c/new
		CREATE tree/c/new/file
	END
	)" ]
	kill "$pid"
}
