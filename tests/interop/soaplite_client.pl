#!/usr/bin/perl
# Calls by SOAP::Lite: soaplite_client.pl URL KIND. Prints the answer, or `fault CODE STRING`.
use strict;
use warnings;
use utf8;

use SOAP::Lite;

binmode STDOUT, ':encoding(UTF-8)';
my ($url, $kind) = @ARGV;
my $orders = 'urn:example:orders';
# Before the client is made: its serializer keeps the namespaces of the version it was born with.
SOAP::Lite->soapversion($kind =~ /12$/ ? '1.2' : '1.1');
my $soap = SOAP::Lite->new;
$soap->proxy($url, timeout => 20);
my $is_lite = $kind =~ /^lite/;
$soap->default_ns($is_lite ? 'urn:example:lite' : $orders);
$soap->on_action(sub { $_[1] });
$soap->autotype(0) unless $is_lite;

sub item { return SOAP::Data->name(Item => $_[0]), SOAP::Data->name(Tier => $_[1]) }
my $version = SOAP::Header->name('o:Version')->attr({ 'xmlns:o' => $orders })->value(2);

my %calls = (
    place      => sub { $soap->call('Place', item('nut', 'silver')) },
    gold       => sub { $soap->call('Place', item('nut', 'gold')) },
    version    => sub { $soap->call('Place', item('nut', 'silver'), $version) },
    status     => sub { $soap->call('Status') },
    cancel     => sub { $soap->call('Cancel', SOAP::Data->name(Item => 'Schraube ß')) },
    lite_who   => sub { $soap->call('Who') },
    lite_again => sub { $soap->call('Repeat', SOAP::Data->name(text => "Grüße \x{6771}")->type('string')) },
    lite_fail  => sub { $soap->call('Fail') },
);
(my $call = $kind) =~ s/12$//;
my $answer = $calls{$call}->();
if ($answer->fault) {
    print join(' ', 'fault', $answer->faultcode // '-', $answer->faultstring // '-'), "\n";
} else {
    my $result = $answer->result;
    print ref $result ? $result->{By} : $result, "\n";
}
