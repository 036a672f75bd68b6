"""Update rules, one file each. Every `ControllerSpec` in a module here is a named controller."""
