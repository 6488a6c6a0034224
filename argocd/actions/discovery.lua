-- What a person can order. An order is about one revision: nothing is offered without one.

local status = obj.status or {}
local rollout = status.rollout
local suspended = obj.spec.suspend or false
local going = obj.metadata.deletionTimestamp ~= nil
local heard = not suspended and not going

-- The first revision, and one that was promoted before, have no gates to skip, and nothing takes the place
-- of the first one.
local judged = rollout ~= nil and status.stable ~= nil
local gated = judged and rollout.gated == true and rollout.promoting ~= true
local rejected = status.phase == "Failed" and status.candidate ~= nil

local function action(offered, name, icon)
  return { disabled = not offered, displayName = name, iconClass = icon }
end

return {
  promote = action(heard and gated, "Promote now: skip what is left of the gates", "fa fa-fw fa-angle-double-up"),
  abort = action(heard and judged, "Abort: give the requests back, reject the revision", "fa fa-fw fa-undo"),
  retry = action(heard and rejected, "Retry the revision that was rejected", "fa fa-fw fa-redo"),
  suspend = action(not suspended and not going, "Suspend: write nothing", "fa fa-fw fa-pause-circle"),
  resume = action(suspended, "Resume", "fa fa-fw fa-play-circle"),
}
