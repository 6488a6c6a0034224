-- The health of a Canary (sluice.dev) for Argo CD. Argo CD gives a script no string library.

local status = obj.status or {}

local function is(kind, value)
  for _, condition in ipairs(status.conditions or {}) do
    if condition.type == kind and condition.status == value then
      return condition
    end
  end
end

-- First of all: suspended, Sluice says so once and writes nothing more.
if obj.spec.suspend then
  local message = "spec.suspend is true: nothing is written"
  if status.rollout ~= nil and status.weight ~= nil then
    message = message .. "; " .. status.rollout.candidate .. " keeps " .. status.weight .. " of the requests"
  end
  return { status = "Suspended", message = message }
end

if status.observedGeneration == nil then
  return { status = "Progressing", message = "Sluice has not seen this Canary yet" }
end
if status.observedGeneration < obj.metadata.generation then
  return { status = "Progressing", message = "Sluice has not seen the newest spec yet" }
end

local stalled = is("Stalled", "True")
if stalled ~= nil then
  return { status = "Degraded", message = stalled.message }
end

local ready = is("Ready", "True")
if ready == nil then
  local waiting = is("Ready", "False") or {}
  return { status = "Progressing", message = waiting.message or "" }
end

-- The service is as it was: the stable revision has all requests, and Git's newest template none.
if is("Promoted", "False") ~= nil then
  local message = ready.message
  if ready.reason ~= "Rejected" then
    -- The API server refused a write: its words are in every condition.
    message = (status.candidate or "the newest template") .. " was rejected; " .. message
  end
  return { status = "Healthy", message = "healthy, but " .. message }
end

return { status = "Healthy", message = ready.message }
