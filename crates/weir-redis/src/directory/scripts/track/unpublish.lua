-- 6: the member; 7: the track.
local why = refused(ARGV[6], ARGV[7])
if why then return why end
remove_track(ARGV[7])
tell('x', ARGV[7], ARGV[6])
keep()
return {'ok'}
