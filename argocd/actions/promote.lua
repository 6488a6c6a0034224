-- Orders by annotation, for the revision that is judged now: should another one take its place, nothing happens.
-- The time behind the name makes it a new order each time.

local os = require("os")
local status = obj.status or {}
if status.rollout == nil or status.stable == nil then
  error("no rollout is under way: there is nothing to promote")
end

local annotations = obj.metadata.annotations or {}
annotations["sluice.dev/promote"] = status.rollout.candidate .. "#" .. os.date("!%Y-%m-%dT%H:%M:%SZ")
obj.metadata.annotations = annotations
return obj
