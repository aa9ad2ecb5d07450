# Takes all limits out of the bundle that runc is about to read; its arguments are runc's. Of "resources" only the
# devices stay. Perl, since it starts in a tenth of the time that Python takes, and it starts for every container.
use strict;
use warnings;

my $bundle = ".";
for my $at (0 .. $#ARGV - 1) {
    $bundle = $ARGV[$at + 1] if $ARGV[$at] eq "--bundle" || $ARGV[$at] eq "-b";
}
my $path = "$bundle/config.json";
open(my $file, "<", $path) or die "$path: $!\n";
my $config = do { local $/; <$file> };
close($file);

# (?1) is the first group, an object, again: what is inside of it
my $devices = "[]";
my $of_resources = sub {
    my ($object) = @_;
    $devices = $1 if $object =~ /"devices"\s*:\s*(\[[^\]]*\])/;
    return "\"resources\":{\"devices\":$devices}";
};
$config =~ s/"resources"\s*:\s*(\{(?:[^{}"]++|"(?:[^"\\]|\\.)*"|(?1))*\})/$of_resources->($1)/e;

open($file, ">", $path) or die "$path: $!\n";
print $file $config or die "$path: $!\n";
close($file) or die "$path: $!\n";
