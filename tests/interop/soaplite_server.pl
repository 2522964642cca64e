#!/usr/bin/perl
# A service by SOAP::Lite over HTTP::Daemon. Says on stdout which port it got.
use strict;
use warnings;

use SOAP::Transport::HTTP;

package Lite;

sub Who    { return 'lite' }
sub Repeat { my ($self, $text) = @_; return SOAP::Data->name(text => $text)->type('string') }

sub Fail {
    die SOAP::Fault->faultcode('Server.Lite')->faultstring('lite was told to fail')
        ->faultdetail('a detail');
}

package main;

$SIG{PIPE} = 'IGNORE';
my $daemon = SOAP::Transport::HTTP::Daemon->new(
    LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 64, Reuse => 1);
$daemon->dispatch_with({ 'urn:example:lite' => 'Lite' });
$daemon->on_action(sub { });
$| = 1;
my ($port) = $daemon->url =~ /:(\d+)/;
print "$port\n";
$daemon->handle;
