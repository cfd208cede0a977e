load ../zdtm/lib/zdtm

@test "what is installed is all that it needs: it runs, and has its manual" {
	local at=$BATS_TEST_TMPDIR/at to

	make -s -C "$ROOT" B="${B:-build}" install DESTDIR="$at" PREFIX=/usr >/dev/null
	[ "$(cd "$at" && find . -type f ! -path './usr/share/doc/*' | sort)" = "./usr/sbin/crtool
./usr/share/man/man8/crtool.8" ]
	park park
	to=$(images)
	(cd / && "$at/usr/sbin/crtool" dump -t "$pid" -D "$to" 3>&- 4>&-)
	within 5 gone "$pid"
	(cd / && "$at/usr/sbin/crtool" restore -d -D "$to" 3>&- 4>&-)
	release
	command -v man >/dev/null || return 0
	run --separate-stderr man --warnings "$at/usr/share/man/man8/crtool.8"
	[ -z "$stderr" ]
}
