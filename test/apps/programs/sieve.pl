use strict;
use warnings;
$| = 1;
my $alarms = 0;
$SIG{ALRM} = sub { $alarms++; alarm 1 };
alarm 1;
open(my $child, '-|', 'for i in 1 2 3 4 5 6; do sleep 0.3; echo "child $i"; done') or die;
my %count;
for my $round (1 .. 12) {
	my @sieve = (1) x 100_000;
	for my $i (2 .. 316) {
		next unless $sieve[$i];
		for (my $j = $i * $i; $j < @sieve; $j += $i) { $sieve[$j] = 0 }
	}
	$count{$_ % 97} += $round for grep { $sieve[$_] } 2 .. $#sieve;
	print "$round ", join(',', map { "$_:$count{$_}" } (sort { $a <=> $b } keys %count)[0 .. 5]), "\n";
}
print while <$child>;
close $child or die "child: $?";
die "no alarm" unless $alarms;
