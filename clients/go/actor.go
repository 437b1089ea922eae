package postern

// Actor is a service that acts for the subject of a token (RFC 8693 section 4.1).
type Actor struct {
	// Subject is the id of a service account.
	Subject string
	// Name is its name when the token was issued; empty in a token of another program.
	Name string
	// Actor is who acted before it; nil for the first one.
	Actor *Actor
}

// maxActors is through how many services a user's call can pass.
const maxActors = 4

// readActor reads the claim act. Members besides sub, name and act are ignored, as unknown claims are.
func readActor(value any, remaining int) (*Actor, bool) {
	members, ok := value.(map[string]any)
	if !ok || remaining == 0 {
		return nil, false
	}
	subject, ok := members["sub"].(string)
	if !ok || !isIdentifier(subject) {
		return nil, false
	}
	name, ok := optionalIdentifier(members, "name")
	if !ok {
		return nil, false
	}
	actor := &Actor{Subject: subject, Name: name}
	if act, present := members["act"]; present {
		if actor.Actor, ok = readActor(act, remaining-1); !ok {
			return nil, false
		}
	}
	return actor, true
}
